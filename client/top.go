package client

import (
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/moby/moby/api/types/container"
)

// CmdTop lists a container's processes as ps on the host sees them.
func (Containers) CmdTop(c *Cmd, args ...string) error {
	c.Describe("top CONTAINER [ps OPTIONS]", "Display the running processes of a container", "container top")
	c.Flags().SetInterspersed(false)
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	query := url.Values{}
	if len(args) > 1 {
		query.Set("ps_args", strings.Join(args[1:], " "))
	}
	var list container.TopResponse
	if err := c.API().Get(c.Context(), "/containers/"+args[0]+"/top", query, &list); err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Out, 20, 1, 3, ' ', 0)
	for _, row := range append([][]string{list.Titles}, list.Processes...) {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}
