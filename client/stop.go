package client

// CmdStop asks containers to end, and kills those that do not in time.
func (Containers) CmdStop(c *Cmd, args ...string) error {
	c.Describe("stop [OPTIONS] CONTAINER [CONTAINER...]", "Stop one or more running containers", "container stop")
	var s stopFlags
	s.declare(c.Flags())
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	query, err := s.query()
	if err != nil {
		return err
	}
	return c.postEach(args, "stop", query)
}
