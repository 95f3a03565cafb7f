package show

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/containers/state"
)

// Row is a container in a list. image is its image's name there.
func Row(s *state.Snapshot, now time.Time, image string, endpoints map[string]*network.EndpointSettings, published network.PortMap) container.Summary {
	row := container.Summary{
		ID:      s.ID,
		Names:   []string{"/" + s.Name},
		Image:   image,
		ImageID: s.ImageID,
		Command: command(s.Path, s.Args),
		Created: s.Created.Unix(),
		Ports:   ports(published),
		Labels:  maps.Clone(s.Config.Labels),
		State:   s.State.Status(),
		Status:  Status(s.State, now),
		Health:  &container.HealthSummary{Status: container.NoHealthcheck},
		Mounts:  slices.Clone(s.Mounts),
		NetworkSettings: &container.NetworkSettingsSummary{
			Networks: summaries(endpoints),
		},
	}
	if row.Labels == nil {
		row.Labels = map[string]string{}
	}
	if row.Mounts == nil {
		row.Mounts = []container.MountPoint{}
	}
	row.HostConfig.NetworkMode = string(s.HostConfig.NetworkMode)
	row.HostConfig.Annotations = s.HostConfig.Annotations
	return row
}

// command is what ps shows: the program and its arguments, those with spaces quoted.
func command(path string, args []string) string {
	var b strings.Builder
	b.WriteString(path)
	for _, arg := range args {
		b.WriteByte(' ')
		if strings.Contains(arg, " ") {
			b.WriteByte('\'')
			b.WriteString(arg)
			b.WriteByte('\'')
		} else {
			b.WriteString(arg)
		}
	}
	return b.String()
}

// summaries are endpoints as lists show them: what they have, not what was asked for.
func summaries(all map[string]*network.EndpointSettings) map[string]*network.EndpointSettings {
	short := make(map[string]*network.EndpointSettings, len(all))
	for name, e := range all {
		s := *e
		s.Links, s.Aliases, s.DriverOpts, s.DNSNames = nil, nil, nil, nil
		if c := s.IPAMConfig; c != nil {
			s.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: c.IPv4Address, IPv6Address: c.IPv6Address}
		}
		short[name] = &s
	}
	return short
}

// ports is what is published or exposed, as ps shows it.
func ports(published network.PortMap) []container.PortSummary {
	list := []container.PortSummary{}
	for port, bindings := range published {
		row := container.PortSummary{PrivatePort: port.Num(), Type: string(port.Proto())}
		if len(bindings) == 0 {
			list = append(list, row)
		}
		for _, b := range bindings {
			n, _ := strconv.ParseUint(b.HostPort, 10, 16)
			row.IP, row.PublicPort = b.HostIP, uint16(n)
			list = append(list, row)
		}
	}
	slices.SortFunc(list, func(a, b container.PortSummary) int {
		return cmp.Or(cmp.Compare(a.PrivatePort, b.PrivatePort), cmp.Compare(a.Type, b.Type), cmp.Compare(a.PublicPort, b.PublicPort), a.IP.Compare(b.IP))
	})
	return list
}
