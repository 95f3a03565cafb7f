package bridge

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networkdriver/bridge/firewall"
)

// Endpoints of a network without "icc" are isolated ports of their bridge: nothing goes from one to
// another there. What is linked meets by way of the host instead. It answers for the others' addresses
// (proxy ARP of a private VLAN, RFC 3069), what comes is routed back to the bridge, and our forward chain lets
// through what is a link, and the answers to it.

// answersForOthers is the kernel's setting for that, of an interface.
const answersForOthers = "proxy_arp_pvlan"

// Link opens ports of others to an endpoint.
func (d *Driver) Link(_ context.Context, networkID, endpointID string, links []networkdriver.Link) error {
	nw, ep, err := d.find(networkID, endpointID)
	if err != nil || nw.icc {
		return err
	}
	d.linking.Lock()
	defer d.linking.Unlock()
	before := d.setLinks(ep, links)
	if err := d.writeLinks(nw, endpointID); err != nil {
		d.setLinks(ep, before)
		return err
	}
	return nil
}

func (d *Driver) setLinks(ep *endpoint, links []networkdriver.Link) (before []networkdriver.Link) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, ep.links = ep.links, links
	return before
}

// unlink closes what an endpoint reaches of others, and others of it.
func (d *Driver) unlink(nw *network, endpointID string) error {
	if nw.icc {
		return nil
	}
	d.linking.Lock()
	defer d.linking.Unlock()
	d.mu.Lock()
	var owners []string
	for id, ep := range nw.endpoints {
		if id == endpointID {
			ep.links = nil
			owners = append(owners, id)
			continue
		}
		to := func(l networkdriver.Link) bool { return l.EndpointID == endpointID }
		if slices.ContainsFunc(ep.links, to) {
			ep.links = slices.DeleteFunc(slices.Clone(ep.links), to)
			owners = append(owners, id)
		}
	}
	d.mu.Unlock()
	return d.writeLinks(nw, owners...)
}

// writeLinks puts the links of endpoints into the firewall. d.linking is held.
func (d *Driver) writeLinks(nw *network, endpoints ...string) error {
	d.mu.Lock()
	lists, any := map[string][]firewall.Element{}, false
	for id, ep := range nw.endpoints {
		list := nw.linked(ep)
		any = any || len(list) > 0
		if slices.Contains(endpoints, id) {
			lists[id] = list
		}
	}
	d.mu.Unlock()
	for id, list := range lists {
		if err := d.table.Set(linksOf(id), list); err != nil {
			return err
		}
	}
	return d.answer(nw, any)
}

// linksOf is the owner of the elements of an endpoint's links.
func linksOf(endpointID string) string { return "links of " + endpointID }

// linked is what the firewall needs for the links of an endpoint.
func (nw *network) linked(ep *endpoint) []firewall.Element {
	if nw.icc {
		return nil
	}
	var list []firewall.Element
	for _, l := range ep.links {
		to := nw.endpoints[l.EndpointID]
		if to == nil || !to.Address.IsValid() || !ep.Address.IsValid() {
			continue
		}
		if e := firewall.Linked(ep.Address.Addr(), to.Address.Addr(), l.Proto, l.Port, l.Count); !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	return list
}

// answer lets the host answer for those on a bridge, as long as some of them are linked.
func (d *Driver) answer(nw *network, linked bool) error {
	d.mu.Lock()
	did := nw.answers
	d.mu.Unlock()
	if nw.icc || linked == did {
		return nil
	}
	settings := nw.answering(linked)
	if forwards, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + nw.name + "/forwarding"); linked && err == nil && strings.TrimSpace(string(forwards)) == "0" {
		d.log("network %s: links open ports by way of the host, which does not forward packets", nw.Name)
	}
	for _, s := range settings {
		if err := writeSysctl(s[0], s[1]); err != nil && !(errors.Is(err, fs.ErrNotExist) && !linked) {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	nw.answers = linked
	return nil
}

// answering are the settings of the kernel for it, in the form of sysctls.
func (nw *network) answering(linked bool) [][3]string {
	pvlan := "net/ipv4/conf/" + nw.name + "/" + answersForOthers
	if !linked {
		return [][3]string{{pvlan, "0"}}
	}
	// Without the second the kernel waits for up to 0.8 s, in case somebody else answers.
	return [][3]string{{pvlan, "1"}, {"net/ipv4/neigh/" + nw.name + "/proxy_delay", "0"}}
}
