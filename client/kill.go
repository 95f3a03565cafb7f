package client

import "net/url"

// CmdKill sends a signal to containers.
func (Containers) CmdKill(c *Cmd, args ...string) error {
	c.Describe("kill [OPTIONS] CONTAINER [CONTAINER...]", "Kill one or more running containers", "container kill")
	signal := c.Flags().StringP("signal", "s", "", "Signal to send to the container")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	query := url.Values{}
	if *signal != "" {
		query.Set("signal", *signal)
	}
	return c.postEach(args, "kill", query)
}
