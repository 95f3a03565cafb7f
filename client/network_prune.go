package client

// CmdNetworkPrune removes networks that no container uses.
func (Networks) CmdNetworkPrune(c *Cmd, args ...string) error {
	c.Describe("network prune [OPTIONS]", "Remove all unused networks")
	var p pruneFlags
	p.declare(c, `Provide filter values (e.g. "until=<timestamp>")`)
	if _, err := c.Parse(args, NoArgs); err != nil {
		return err
	}
	if !p.agreed(c, "WARNING! This will remove all custom networks not used by at least one container.") {
		return nil
	}
	done, err := c.pruneNetworks(p.filter)
	if err != nil {
		return err
	}
	done.print(c)
	return nil
}
