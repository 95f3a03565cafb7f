package bridge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jobengine/engine/networkdriver/bridge/firewall"
)

// stayNoRouter is called before forwarding is switched on. A host that did not forward must not begin to
// carry packets from one of its networks to another for our sake: between the interfaces that it has now,
// that is forbidden in our table. Bridges are left out: they are others' container and machine networks.
func (d *Driver) stayNoRouter(v6 bool) error {
	var shut []firewall.Element
	for _, f := range []struct {
		setting string
		v6      bool
	}{{"net/ipv4/ip_forward", false}, {"net/ipv6/conf/all/forwarding", true}} {
		value, err := os.ReadFile(filepath.Join("/proc/sys", f.setting))
		if err != nil || strings.TrimSpace(string(value)) != "0" || f.v6 && !v6 {
			continue
		}
		links, err := d.links.LinkList()
		if err != nil {
			return fmt.Errorf("interfaces of the host: %w", err)
		}
		for _, l := range links {
			a := l.Attrs()
			if a.Name == "lo" || l.Type() == "bridge" || a.MasterIndex != 0 {
				continue
			}
			shut = append(shut, firewall.Shut(a.Name, f.v6))
			if f.v6 {
				keepRouter(a.Name)
			}
		}
	}
	return d.table.AddShut(shut)
}

// keepRouter lets an interface go on listening to its router: a host that forwards does not, unless it is told.
func keepRouter(name string) {
	setting := "net/ipv6/conf/" + name + "/accept_ra"
	if value, err := os.ReadFile(filepath.Join("/proc/sys", setting)); err == nil && strings.TrimSpace(string(value)) == "1" {
		_ = writeSysctl(setting, "2")
	}
}
