package client

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/jobengine/engine/client/table"
	"github.com/jobengine/engine/internal/reference"
	"github.com/moby/moby/api/types/container"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// CmdPs lists containers.
func (Containers) CmdPs(c *Cmd, args ...string) error {
	c.Describe("ps [OPTIONS]", "List containers", "container ls", "container list", "container ps").Common(3)
	var l listFlags
	l.declare(c.Flags(), "Only display container IDs", "Don't truncate output", "Filter output based on conditions provided")
	size := c.Flags().BoolP("size", "s", false, "Display total file sizes")
	all := c.Flags().BoolP("all", "a", false, "Show all containers (default shows just running)")
	latest := c.Flags().BoolP("latest", "l", false, "Show the latest created container (includes all states)")
	last := c.Flags().IntP("last", "n", -1, "Show n last created containers (includes all states)")
	if _, err := c.Parse(args, NoArgs); err != nil {
		return err
	}
	if l.format == "" {
		l.format = c.Config().PsFormat
	} else if l.quiet {
		fmt.Fprintln(c.Err, "WARNING: Ignoring custom format, because both --format and --quiet are set.")
	}
	if *latest && *last == -1 {
		*last = 1
	}
	if l.format != "" {
		probe := &psRow{}
		if err := table.Check(l.format, probe); err != nil {
			return err
		}
		// Sizes are work for the daemon: ask only when the template shows them.
		if probe.sizeUsed && !l.quiet && !c.Flags().Changed("size") {
			*size = true
		}
	}
	query := url.Values{}
	for name, set := range map[string]bool{"all": *all, "size": *size} {
		if set {
			query.Set(name, "1")
		}
	}
	if *last > 0 {
		query.Set("limit", strconv.Itoa(*last))
	}
	l.filter.addTo(query)
	var list []container.Summary
	if err := c.API().Get(c.Context(), "/containers/json", query, &list); err != nil {
		return err
	}
	rows := make([]*psRow, len(list))
	for i := range list {
		rows[i] = &psRow{c: list[i], trunc: !l.noTrunc}
	}
	return table.Write(c.Out, psFormat(l.format, l.quiet, *size), psHeadings(), rows)
}

func psFormat(format string, quiet, size bool) string {
	switch {
	case quiet && format == "raw":
		return "container_id: {{.ID}}"
	case quiet:
		return table.Quiet
	case format == "" || format == "table":
		format = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
		if size {
			format += "\t{{.Size}}"
		}
	case format == "raw":
		format = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n" +
			"state: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\n" +
			"labels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n"
		if size {
			format += "size: {{.Size}}\n"
		}
	}
	return format
}

func psHeadings() table.Headings {
	return table.Headings{
		"ID": "CONTAINER ID", "Names": "NAMES", "Image": "IMAGE", "Command": "COMMAND", "CreatedAt": "CREATED AT",
		"RunningFor": "CREATED", "Ports": "PORTS", "State": "STATE", "Status": "STATUS", "Size": "SIZE", "Labels": "LABELS",
		"Mounts": "MOUNTS", "LocalVolumes": "LOCAL VOLUMES", "Networks": "NETWORKS", "Platform": "PLATFORM", "HealthStatus": "HEALTH",
	}
}

// psRow is a container as the templates see it.
type psRow struct {
	c        container.Summary
	trunc    bool
	sizeUsed bool
}

func (r *psRow) MarshalJSON() ([]byte, error) { return table.JSON(r) }

func (r *psRow) ID() string {
	if r.trunc {
		return table.ShortID(r.c.ID)
	}
	return r.c.ID
}

// Names drops the leading slashes; where names are cut, those given by links go.
func (r *psRow) Names() string {
	names := make([]string, len(r.c.Names))
	for i, n := range r.c.Names {
		names[i] = strings.TrimPrefix(n, "/")
	}
	if r.trunc {
		for _, n := range names {
			if !strings.Contains(n, "/") {
				return n
			}
		}
	}
	return strings.Join(names, ",")
}

func (r *psRow) Image() string {
	if r.c.Image == "" {
		return "<no image>"
	}
	if !r.trunc {
		return r.c.Image
	}
	if short := table.ShortID(r.c.ImageID); short == table.ShortID(r.c.Image) {
		return short
	}
	named, err := reference.ParseNormalizedNamed(r.c.Image)
	if err != nil {
		return r.c.Image
	}
	if _, ok := named.(reference.Digested); ok { // the digest is left out, a tag stays
		tagged, isTagged := named.(reference.Tagged)
		named = reference.TrimNamed(named)
		if isTagged {
			if with, err := reference.WithTag(named, tagged.Tag()); err == nil {
				named = with
			}
		}
	}
	return reference.FamiliarString(named)
}

func (r *psRow) Command() string {
	if r.trunc {
		return strconv.Quote(table.Ellipsis(r.c.Command, 20))
	}
	return strconv.Quote(r.c.Command)
}

func (r *psRow) CreatedAt() string  { return time.Unix(r.c.Created, 0).String() }
func (r *psRow) RunningFor() string { return table.Ago(r.c.Created) }
func (r *psRow) State() string      { return string(r.c.State) }
func (r *psRow) Status() string     { return r.c.Status }
func (r *psRow) Ports() string      { return displayPorts(r.c.Ports) }

func (r *psRow) HealthStatus() string {
	if r.c.Health == nil {
		return ""
	}
	return string(r.c.Health.Status)
}

func (r *psRow) Platform() *ocispec.Platform {
	if r.c.ImageManifestDescriptor == nil {
		return nil
	}
	return r.c.ImageManifestDescriptor.Platform
}

func (r *psRow) Size() string {
	r.sizeUsed = true
	if r.c.SizeRootFs > 0 {
		return fmt.Sprintf("%s (virtual %s)", table.Size(r.c.SizeRw), table.Size(r.c.SizeRootFs))
	}
	return table.Size(r.c.SizeRw)
}

func (r *psRow) Labels() string           { return joinLabels(r.c.Labels) }
func (r *psRow) Label(name string) string { return r.c.Labels[name] }

func (r *psRow) Mounts() string {
	var names []string
	for _, m := range r.c.Mounts {
		name := m.Name
		if name == "" {
			name = m.Source
		}
		if r.trunc {
			name = table.Ellipsis(name, 15)
		}
		names = append(names, name)
	}
	return strings.Join(names, ",")
}

func (r *psRow) LocalVolumes() string {
	n := 0
	for _, m := range r.c.Mounts {
		if m.Driver == "local" {
			n++
		}
	}
	return strconv.Itoa(n)
}

func (r *psRow) Networks() string {
	if r.c.NetworkSettings == nil {
		return ""
	}
	var names []string
	for name := range r.c.NetworkSettings.Networks {
		names = append(names, name)
	}
	sort.Strings(names)
	return strings.Join(names, ",")
}

func joinLabels(labels map[string]string) string {
	var out []string
	for k, v := range labels {
		out = append(out, k+"="+v)
	}
	sort.Strings(out)
	return strings.Join(out, ",")
}

// displayPorts joins neighbouring ports to ranges, for each address and
// protocol; ports that are published under another number follow one by one.
func displayPorts(ports []container.PortSummary) string {
	ports = slices.Clone(ports)
	sort.Slice(ports, func(i, j int) bool {
		a, b := ports[i], ports[j]
		switch {
		case a.PrivatePort != b.PrivatePort:
			return a.PrivatePort < b.PrivatePort
		case a.IP != b.IP:
			return a.IP.String() < b.IP.String()
		case a.PublicPort != b.PublicPort:
			return a.PublicPort < b.PublicPort
		}
		return a.Type < b.Type
	})
	type group struct {
		ip    netip.Addr
		proto string
	}
	type span struct{ first, last uint16 }
	text := func(g group, s span) string {
		numbers := strconv.Itoa(int(s.first))
		if s.last != s.first {
			numbers += "-" + strconv.Itoa(int(s.last))
		}
		if g.ip.IsValid() {
			numbers = net.JoinHostPort(g.ip.String(), numbers) + "->" + numbers
		}
		return numbers + "/" + g.proto
	}
	open := map[group]*span{}
	var order []group
	var ranges, mapped []string
	for _, p := range ports {
		g := group{p.IP, p.Type}
		if p.IP.IsValid() && p.PublicPort != p.PrivatePort {
			outside := net.JoinHostPort(p.IP.String(), strconv.Itoa(int(p.PublicPort)))
			mapped = append(mapped, fmt.Sprintf("%s->%d/%s", outside, p.PrivatePort, p.Type))
			continue
		}
		s := open[g]
		switch {
		case s == nil:
			open[g] = &span{p.PrivatePort, p.PrivatePort}
			order = append(order, g)
		case p.PrivatePort == s.last+1:
			s.last = p.PrivatePort
		default:
			ranges = append(ranges, text(g, *s))
			*s = span{p.PrivatePort, p.PrivatePort}
		}
	}
	for _, g := range order {
		ranges = append(ranges, text(g, *open[g]))
	}
	return strings.Join(append(ranges, mapped...), ", ")
}
