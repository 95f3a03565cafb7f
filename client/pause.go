package client

// CmdPause freezes all processes of containers.
func (Containers) CmdPause(c *Cmd, args ...string) error {
	c.Describe("pause CONTAINER [CONTAINER...]", "Pause all processes within one or more containers", "container pause")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	return c.postEach(args, "pause", nil)
}
