package client

import (
	"fmt"

	"github.com/moby/moby/api/types/container"
)

// CmdDiff lists what a container has changed in its file system.
func (Containers) CmdDiff(c *Cmd, args ...string) error {
	c.Describe("diff CONTAINER", "Inspect changes to files or directories on a container's filesystem", "container diff")
	args, err := c.Parse(args, Exactly(1))
	if err != nil {
		return err
	}
	var list []container.FilesystemChange
	if err := c.API().Get(c.Context(), "/containers/"+args[0]+"/changes", nil, &list); err != nil {
		return err
	}
	for _, change := range list {
		fmt.Fprintln(c.Out, change.Kind, change.Path)
	}
	return nil
}
