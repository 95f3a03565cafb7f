package client

import "errors"

// CmdRestart stops containers and starts them again, one after the other.
func (Containers) CmdRestart(c *Cmd, args ...string) error {
	c.Describe("restart [OPTIONS] CONTAINER [CONTAINER...]", "Restart one or more containers", "container restart")
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
	var errs []error
	for _, name := range args {
		if err := c.API().Post(c.Context(), "/containers/"+name+"/restart", query, nil, nil); err != nil {
			errs = append(errs, err)
			continue
		}
		c.println(name)
	}
	return errors.Join(errs...)
}
