package client

import "github.com/jobengine/engine/client/config"

// CmdPull gets an image from a registry.
func (Images) CmdPull(c *Cmd, args ...string) error {
	c.Describe("pull [OPTIONS] NAME[:TAG|@DIGEST]", "Download an image from a registry", "image pull").Common(5)
	platform := c.Flags().String("platform", config.Env("DEFAULT_PLATFORM"), "Set platform if server is multi-platform capable")
	args, err := c.Parse(args, Exactly(1))
	if err != nil {
		return err
	}
	return c.pull(c.Context(), args[0], *platform, c.Out)
}
