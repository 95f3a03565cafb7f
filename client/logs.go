package client

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/jobengine/engine/client/timestamp"
	"github.com/moby/moby/api/types/container"
)

// CmdLogs prints what a container wrote.
func (Containers) CmdLogs(c *Cmd, args ...string) error {
	c.Describe("logs [OPTIONS] CONTAINER", "Fetch the logs of a container", "container logs")
	f := c.Flags()
	follow := f.BoolP("follow", "f", false, "Follow log output")
	since := f.String("since", "", `Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)`)
	until := f.String("until", "", `Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)`)
	timestamps := f.BoolP("timestamps", "t", false, "Show timestamps")
	details := f.Bool("details", false, "Show extra details provided to logs")
	tail := f.StringP("tail", "n", "all", "Number of lines to show from the end of the logs")
	args, err := c.Parse(args, Exactly(1))
	if err != nil {
		return err
	}
	var found container.InspectResponse
	if err := c.API().Get(c.Context(), "/containers/"+args[0]+"/json", nil, &found); err != nil {
		return err
	}
	query := url.Values{"stdout": {"1"}, "stderr": {"1"}, "tail": {*tail}}
	for name, set := range map[string]bool{"follow": *follow, "timestamps": *timestamps, "details": *details} {
		if set {
			query.Set(name, "1")
		}
	}
	for name, value := range map[string]string{"since": *since, "until": *until} {
		if value == "" {
			continue
		}
		t, err := timestamp.Parse(value, time.Now())
		if err != nil {
			return fmt.Errorf("invalid value for \"%s\": %w", name, err)
		}
		query.Set(name, t)
	}
	resp, err := c.API().Do(c.Context(), http.MethodGet, "/containers/"+found.ID+"/logs", query, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if found.Config.Tty {
		_, err = io.Copy(c.Out, resp.Body)
		return err
	}
	return demultiplex(c.Out, c.Err, resp.Body)
}
