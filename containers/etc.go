package containers

import (
	"net/netip"

	"github.com/jobengine/engine/containers/etc"
	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/graphdriver"
)

// DNS is what containers have in the place of the host's resolv.conf, unless they say otherwise themselves.
type DNS = etc.DNS

// etcFilesDone is what came of writeEtc.
type etcFilesDone struct {
	binds []spec.Bind
	err   error
}

// etcOf is what a container's files of /etc are made of, as things are now.
func (c *Containers) etcOf(s *Snapshot) etc.Container {
	running, _ := c.networks.Settings(s.ID)
	hc := s.HostConfig
	return etc.Container{
		Dir:      c.path(s.ID),
		Hostname: s.Config.Hostname, Domainname: s.Config.Domainname,
		HostNetwork: hc.NetworkMode.IsHost(), Networks: running,
		ExtraHosts: hc.ExtraHosts, Gateways: func() ([]netip.Addr, error) { return c.networks.HostGateway(s.ID) },
		Links:    c.linkHosts(s),
		DNS:      etc.DNS{Servers: hc.DNS, Search: hc.DNSSearch, Options: hc.DNSOptions},
		Defaults: c.cfg.DNS,
	}
}

// writeEtc makes the files and says where they go. What the user binds over one of them takes its place.
// They belong to the container's root; a container that shares another one's network has that one's.
func (c *Containers) writeEtc(s *Snapshot, ids graphdriver.IDMap) ([]spec.Bind, error) {
	uid, gid, err := ids.Root()
	if err != nil {
		return nil, err
	}
	owner, err := c.etcOwner(s)
	if err != nil {
		return nil, err
	}
	if owner == s { // else it has made them
		if err := c.etcOf(s).Write(uid, gid); err != nil {
			return nil, err
		}
	}
	var binds []spec.Bind
	for _, f := range etc.Files {
		if !mounted(s, f.Target) {
			binds = append(binds, spec.Bind{Source: c.path(owner.ID, f.Name), Destination: f.Target, ReadOnly: s.HostConfig.ReadonlyRootfs})
		}
	}
	return binds, nil
}

func mounted(s *Snapshot, target string) bool {
	for _, m := range s.Mounts {
		if m.Destination == target {
			return true
		}
	}
	return false
}

// refreshHosts brings /etc/hosts of a container up to date: it, or one that it is linked to, has another address or name.
func (c *Containers) refreshHosts(s *Snapshot) error { return c.etcOf(s).RefreshHosts() }
