package containers

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/containers/links"
	"github.com/jobengine/engine/internal/errs"
)

// Links of the default bridge. In a record a link is ID:ALIAS, so that a container that is renamed
// stays linked; inspect shows it as /NAME:/OWNER/ALIAS.

// settleLinks puts ids in the place of the names of linked containers. On networks of users a link is the endpoint's.
func (c *Containers) settleLinks(hc *container.HostConfig, nets map[string]*network.EndpointSettings) error {
	if hc.NetworkMode != "" && hc.NetworkMode.IsUserDefined() {
		if ep := nets[string(hc.NetworkMode)]; ep != nil && len(ep.Links) == 0 && len(hc.Links) > 0 {
			ep.Links = hc.Links
		}
		hc.Links = nil
		return nil
	}
	var settled []string
	seen := map[string]bool{}
	for _, text := range hc.Links {
		name, alias, err := links.Parse(text)
		if err != nil {
			return err
		}
		child, err := c.find(name)
		for err == nil && child.Snapshot().HostConfig.NetworkMode.IsContainer() {
			child, err = c.find(child.Snapshot().HostConfig.NetworkMode.ConnectedContainer())
		}
		if err != nil {
			return errs.Invalid("could not get container for %s: %v", name, err) // not of the class not found: clients would pull the image
		}
		if child.Snapshot().HostConfig.NetworkMode.IsHost() {
			return errs.Invalid("conflicting options: host type networking can't be used with links. This would result in undefined behavior")
		}
		if !seen[alias] { // of two the first one counts
			settled = append(settled, child.id+":"+alias)
		}
		seen[alias] = true
	}
	hc.Links = settled
	return nil
}

// link is one of a container's.
type link struct {
	id, alias string
	child     *Snapshot // nil if it is gone
}

func (l link) name() string {
	if l.child == nil {
		return l.id[:min(12, len(l.id))]
	}
	return l.child.Name
}

func (c *Containers) links(s *Snapshot) []link {
	var list []link
	for _, text := range s.HostConfig.Links {
		id, alias, _ := strings.Cut(text, ":")
		l := link{id: id, alias: alias}
		if ct, ok := c.index.get(id); ok {
			l.child = ct.Snapshot()
		}
		list = append(list, l)
	}
	return list
}

// linkedIDs are the containers that one is linked to.
func (c *Containers) linkedIDs(s *Snapshot) []string {
	var ids []string
	for _, l := range c.links(s) {
		ids = append(ids, l.id)
	}
	return ids
}

// shownLinks are the links as inspect shows them.
func (c *Containers) shownLinks(s *Snapshot) []string {
	var list []string
	for _, l := range c.links(s) {
		list = append(list, fmt.Sprintf("/%s:/%s/%s", l.name(), s.Name, l.alias))
	}
	return list
}

// linkNames are the names that a container has by links of others, as ps shows them: /OWNER/ALIAS.
func (c *Containers) linkNames(snaps []*Snapshot) map[string][]string {
	var byID map[string][]string
	for _, s := range snaps {
		for _, text := range s.HostConfig.Links {
			if byID == nil {
				byID = map[string][]string{}
			}
			id, alias, _ := strings.Cut(text, ":")
			byID[id] = append(byID[id], "/"+s.Name+"/"+alias)
		}
	}
	return byID
}

// addresses of the other end of a link, on the default bridge.
func (c *Containers) linked(l link) (v4, v6 netip.Addr) {
	settings, _ := c.networks.Settings(l.id)
	if ep := settings[network.NetworkBridge]; ep != nil {
		return ep.IPAddress, ep.GlobalIPv6Address
	}
	return v4, v6
}

// checkLinks makes sure that what a container that starts is linked to is there.
func (r *run) checkLinks() error {
	for _, l := range r.c.links(r.s) {
		if l.child == nil || !l.child.State.Running || l.child.State.Restarting {
			return fmt.Errorf("Cannot link to a non running container: /%s AS /%s/%s", l.name(), r.s.Name, l.alias)
		}
		if v4, v6 := r.c.linked(l); !v4.IsValid() && !v6.IsValid() {
			return fmt.Errorf("Cannot link to /%s, as it does not belong to the default network", l.name())
		}
	}
	return nil
}

// linkEnv are the variables that tell of links.
func (c *Containers) linkEnv(s *Snapshot) []string {
	var env []string
	for _, l := range c.links(s) {
		if v4, _ := c.linked(l); l.child != nil && v4.IsValid() {
			env = append(env, links.Env(s.Name, l.alias, v4.String(), l.child.Config.ExposedPorts, l.child.Config.Env)...)
		}
	}
	return env
}

// withLinks is a container's configuration with those variables, below its own.
func (c *Containers) withLinks(s *Snapshot, config *container.Config) *container.Config {
	env := c.linkEnv(s)
	if len(env) == 0 {
		return config
	}
	told := *config
	told.Env = slices.Concat(env, config.Env)
	return &told
}

// linkHosts are the lines of /etc/hosts for links.
func (c *Containers) linkHosts(s *Snapshot) []string {
	var lines []string
	for _, l := range c.links(s) {
		if l.child == nil {
			continue
		}
		v4, v6 := c.linked(l)
		for _, a := range []netip.Addr{v4, v6} {
			if a.IsValid() {
				lines = append(lines, a.String()+"\t"+strings.Join(links.Names(l.alias, l.child.Config.Hostname, l.child.Name), " ")+"\n")
			}
		}
	}
	return lines
}

// tellLinked brings /etc/hosts of the running containers up to date that are linked to one: it has
// another address or name.
func (c *Containers) tellLinked(id string) {
	for _, ct := range c.index.all() {
		s := ct.Snapshot()
		if !s.State.Running || !slices.ContainsFunc(s.HostConfig.Links, func(l string) bool { return strings.HasPrefix(l, id+":") }) {
			continue
		}
		if err := c.refreshHosts(s); err != nil {
			c.log.Errorf("container %s: its /etc/hosts: %v", s.ID, err)
		}
	}
}

// findLink resolves OWNER/ALIAS.
func (c *Containers) findLink(ref string) (owner *Container, l link, ok bool) {
	name, alias, cut := strings.Cut(strings.TrimPrefix(ref, "/"), "/")
	if !cut {
		return nil, link{}, false
	}
	owner, err := c.index.find(name)
	if err != nil {
		return nil, link{}, false
	}
	for _, l := range c.links(owner.Snapshot()) {
		if l.alias == alias {
			return owner, l, true
		}
	}
	return nil, link{}, false
}

// rmLink takes a link from its owner.
func (c *Containers) rmLink(ctx context.Context, ref string) error {
	owner, l, ok := c.findLink(ref)
	if !ok {
		if _, err := c.find(ref); err != nil {
			return err
		}
		return errs.Conflict("Conflict, cannot remove the default link name of the container")
	}
	unlock, err := owner.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	err = c.reconfigure(owner, func(s *Snapshot) {
		hc := *s.HostConfig
		hc.Links = slices.DeleteFunc(slices.Clone(hc.Links), func(text string) bool { return text == l.id+":"+l.alias })
		s.HostConfig = &hc
	})
	if err != nil {
		return err
	}
	if err := c.networks.SetLinks(ctx, owner.id, c.linkedIDs(owner.Snapshot())); err != nil {
		return err
	}
	return c.refreshHosts(owner.Snapshot())
}
