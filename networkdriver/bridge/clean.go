package bridge

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/jobengine/engine/networkdriver"
)

// Clean removes our bridges, what is left of pairs on them, our table, and our rules in the
// tables of others.
func (d *Driver) Clean(_ context.Context, networks []networkdriver.Network) error {
	var failed []error
	names := map[string]bool{}
	for _, n := range networks {
		if s, err := parse(n); err == nil {
			names[s.name] = true
		}
	}
	links, err := d.links.LinkList()
	failed = append(failed, err)
	ours := map[int]bool{}
	for _, l := range links {
		a := l.Attrs()
		if l.Type() != "bridge" || a.Alias != d.mark() && !names[a.Name] {
			continue
		}
		if a.Alias == d.mark() {
			ours[a.Index] = true
		} else {
			failed = append(failed, resetToDefault(a.Name, "route_localnet"), resetToDefault(a.Name, answersForOthers))
		}
	}
	for _, l := range links {
		if a := l.Attrs(); ours[a.MasterIndex] && strings.HasPrefix(a.Name, "veth") {
			failed = append(failed, d.deleteLink(a.Name))
		}
	}
	for _, l := range links {
		if ours[l.Attrs().Index] {
			failed = append(failed, d.deleteLink(l.Attrs().Name))
		}
	}
	d.mu.Lock()
	clear(d.networks)
	d.mu.Unlock()
	return errors.Join(append(failed, d.other.Clean(), d.table.Delete())...)
}

// resetToDefault gives a bridge of somebody else's a setting that new interfaces have.
func resetToDefault(name, setting string) error {
	byDefault, err := os.ReadFile("/proc/sys/net/ipv4/conf/default/" + setting)
	if err != nil {
		return err
	}
	return writeSysctl("net/ipv4/conf/"+name+"/"+setting, strings.TrimSpace(string(byDefault)))
}
