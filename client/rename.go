package client

import (
	"errors"
	"fmt"
	"net/url"
)

// CmdRename gives a container another name.
func (Containers) CmdRename(c *Cmd, args ...string) error {
	c.Describe("rename CONTAINER NEW_NAME", "Rename a container", "container rename")
	args, err := c.Parse(args, Exactly(2))
	if err != nil {
		return err
	}
	if args[0] == "" || args[1] == "" {
		return errors.New("Error: Neither old nor new names may be empty")
	}
	if err := c.API().Post(c.Context(), "/containers/"+args[0]+"/rename", url.Values{"name": {args[1]}}, nil, nil); err != nil {
		return fmt.Errorf("%w\nError: failed to rename container named %s", err, args[0])
	}
	return nil
}
