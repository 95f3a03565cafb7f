package client

// System has the commands that deal with the engine as a whole.
type System struct{}

// CmdSystem is the group of system commands.
func (System) CmdSystem(c *Cmd, args ...string) error {
	return c.Group("system", "Manage the engine", args)
}
