package client

// CmdUnpause lets the processes of paused containers go on.
func (Containers) CmdUnpause(c *Cmd, args ...string) error {
	c.Describe("unpause CONTAINER [CONTAINER...]", "Unpause all processes within one or more containers", "container unpause")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	return c.postEach(args, "unpause", nil)
}
