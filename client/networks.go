package client

import (
	"net/url"
	"sort"
	"strconv"

	"github.com/jobengine/engine/client/table"
	"github.com/moby/moby/api/types/network"
)

// Networks has the commands that deal with networks.
type Networks struct{}

// CmdNetwork is the group of network commands.
func (Networks) CmdNetwork(c *Cmd, args ...string) error {
	return c.Group("network", "Manage networks", args)
}

// CmdNetworkInspect prints everything about networks.
func (Networks) CmdNetworkInspect(c *Cmd, args ...string) error {
	c.Describe("network inspect [OPTIONS] NETWORK [NETWORK...]", "Display detailed information on one or more networks")
	format := objectFormat(c.Flags(), "f")
	verbose := c.Flags().BoolP("verbose", "v", false, "Verbose output for diagnostics")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	query := url.Values{}
	if *verbose {
		query.Set("verbose", "true")
	}
	return c.inspect(args, *format, find[network.Inspect](c, "/networks/", "", query))
}

// CmdNetworkLs lists networks.
func (Networks) CmdNetworkLs(c *Cmd, args ...string) error {
	c.Describe("network ls [OPTIONS]", "List networks", "network list")
	var l listFlags
	l.declare(c.Flags(), "Only display network IDs", "Do not truncate the output", `Provide filter values (e.g. "driver=bridge")`)
	if _, err := c.Parse(args, NoArgs); err != nil {
		return err
	}
	query := url.Values{}
	l.filter.addTo(query)
	var list []network.Summary
	if err := c.API().Get(c.Context(), "/networks", query, &list); err != nil {
		return err
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	rows := make([]*networkRow, len(list))
	for i := range list {
		rows[i] = &networkRow{list[i], !l.noTrunc}
	}
	format := l.choose(c.Config().NetworksFormat)
	switch {
	case format == "table" && l.quiet:
		format = table.Quiet
	case format == "table":
		format = "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}"
	case format == "raw" && l.quiet:
		format = "network_id: {{.ID}}"
	case format == "raw":
		format = "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n"
	}
	return table.Write(c.Out, format, table.Headings{
		"ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE", "IPv4": "IPV4", "IPv6": "IPV6",
		"Internal": "INTERNAL", "Labels": "LABELS", "CreatedAt": "CREATED AT",
	}, rows)
}

// networkRow is a network as the templates see it.
type networkRow struct {
	n     network.Summary
	trunc bool
}

func (r *networkRow) MarshalJSON() ([]byte, error) { return table.JSON(r) }

func (r *networkRow) ID() string {
	if r.trunc {
		return table.ShortID(r.n.ID)
	}
	return r.n.ID
}

func (r *networkRow) Name() string             { return r.n.Name }
func (r *networkRow) Driver() string           { return r.n.Driver }
func (r *networkRow) Scope() string            { return r.n.Scope }
func (r *networkRow) IPv4() string             { return strconv.FormatBool(r.n.EnableIPv4) }
func (r *networkRow) IPv6() string             { return strconv.FormatBool(r.n.EnableIPv6) }
func (r *networkRow) Internal() string         { return strconv.FormatBool(r.n.Internal) }
func (r *networkRow) Labels() string           { return joinLabels(r.n.Labels) }
func (r *networkRow) Label(name string) string { return r.n.Labels[name] }
func (r *networkRow) CreatedAt() string        { return r.n.Created.String() }
