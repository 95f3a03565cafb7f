package client

import (
	"errors"

	"github.com/containerd/errdefs"
)

// CmdNetworkRm removes networks.
func (Networks) CmdNetworkRm(c *Cmd, args ...string) error {
	c.Describe("network rm NETWORK [NETWORK...]", "Remove one or more networks", "network remove")
	force := c.Flags().BoolP("force", "f", false, "Do not error if the network does not exist")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range args {
		err := c.API().Delete(c.Context(), "/networks/"+name, nil, nil)
		switch {
		case err == nil:
			c.println(name)
		case *force && errdefs.IsNotFound(err):
		default:
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
