package client

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/jobengine/engine/client/progress"
)

// CmdLoad brings the images of an archive in.
func (Images) CmdLoad(c *Cmd, args ...string) error {
	c.Describe("load [OPTIONS]", "Load an image from a tar archive or STDIN", "image load")
	f := c.Flags()
	input := f.StringP("input", "i", "", "Read from tar archive file, instead of STDIN")
	quiet := f.BoolP("quiet", "q", false, "Suppress the load output")
	platform := f.StringSlice("platform", nil, `Load only the given platform(s). Formatted as a comma-separated list of "os[/arch[/variant]]" (e.g., "linux/amd64,linux/arm64/v8").`)
	if _, err := c.Parse(args, NoArgs); err != nil {
		return err
	}
	in := c.In
	if *input != "" {
		file, err := os.Open(*input)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	} else if _, ok := terminal(c.In); ok {
		return errors.New("requested load from stdin, but stdin is empty")
	}
	query := url.Values{"quiet": {"0"}}
	if _, ok := terminal(c.Out); *quiet || !ok {
		query.Set("quiet", "1")
	}
	if err := addPlatform(query, *platform...); err != nil {
		return err
	}
	return c.sendArchive("/images/load", query, in)
}

// sendArchive posts an archive and shows the daemon's progress messages.
func (c *Cmd) sendArchive(path string, query url.Values, in io.Reader) error {
	var body any
	if in != nil {
		body = in
	}
	resp, err := c.API().Do(c.Context(), http.MethodPost, path, query, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return progress.Show(resp.Body, c.Out, terminalWidth(c.Out))
}
