package client

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/moby/moby/api/types/container"
)

// CmdStart starts containers that exist, or one of them with the CLI attached.
func (Containers) CmdStart(c *Cmd, args ...string) error {
	c.Describe("start [OPTIONS] CONTAINER [CONTAINER...]", "Start one or more stopped containers", "container start")
	attach := c.Flags().BoolP("attach", "a", false, "Attach STDOUT/STDERR and forward signals")
	stdin := c.Flags().BoolP("interactive", "i", false, "Attach container's STDIN")
	keys := c.Flags().String("detach-keys", "", "Override the key sequence for detaching a container")
	checkpoint := c.Flags().String("checkpoint", "", "Restore from this checkpoint")
	checkpointDir := c.Flags().String("checkpoint-dir", "", "Use a custom checkpoint storage directory")
	c.Flags().MarkHidden("checkpoint")
	c.Flags().MarkHidden("checkpoint-dir")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	if *attach || *stdin {
		if len(args) > 1 {
			return errors.New("you cannot start and attach multiple containers at once")
		}
		return c.startAttached(args[0], *stdin, c.detachKeys(*keys))
	}
	query := url.Values{}
	if *checkpoint != "" {
		if len(args) > 1 {
			return errors.New("you cannot restore multiple containers at once")
		}
		query = url.Values{"checkpoint": {*checkpoint}, "checkpoint-dir": {*checkpointDir}}
	}
	var failed []string
	for _, name := range args {
		if err := c.API().Post(c.Context(), "/containers/"+name+"/start", query, nil, nil); err != nil {
			fmt.Fprintln(c.Err, err)
			failed = append(failed, name)
			continue
		}
		c.println(name)
	}
	if len(failed) > 0 {
		return fmt.Errorf("Error: failed to start containers: %s", strings.Join(failed, ", "))
	}
	return nil
}

func (c *Cmd) startAttached(name string, stdin bool, keys string) error {
	var found container.InspectResponse
	if err := c.API().Get(c.Context(), "/containers/"+name+"/json", nil, &found); err != nil {
		return err
	}
	if !found.Config.Tty {
		defer c.forwardSignals(found.ID)()
	}
	code, err := c.runForeground(foreground{
		id:      found.ID,
		config:  found.Config,
		stdin:   stdin && found.Config.OpenStdin,
		stdout:  true,
		stderr:  true,
		removed: found.HostConfig.AutoRemove,
		keys:    keys,
	}, func(err error) error { return err })
	if err != nil {
		return err
	}
	return exitWith(code)
}
