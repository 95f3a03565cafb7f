package networks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networks/ipam"
)

var errNotExist = fs.ErrNotExist

// Boot makes the networks that are always there, takes over the boxes whose processes
// live, and tells the drivers of everything. What can not be had is logged, and the
// rest works. Containers are restored after it.
func (n *Networks) Boot(ctx context.Context) error {
	if err := n.predefine(); err != nil {
		return err
	}
	n.loadBoxes()
	byDriver := map[string][]networkdriver.Restored{}
	for _, nw := range n.all() {
		byDriver[nw.Driver] = append(byDriver[nw.Driver], n.restored(nw))
	}
	for name, list := range byDriver {
		d := n.cfg.Drivers[name]
		if d == nil {
			n.cfg.Log.Errorf("%d networks have the driver %q, which is not there: containers on them will not start", len(list), name)
			continue
		}
		if err := restore(ctx, d, list); err != nil {
			n.cfg.Log.Errorf("networks of driver %s: %v", name, err)
		}
	}
	return nil
}

func restore(ctx context.Context, d networkdriver.Driver, list []networkdriver.Restored) error {
	if r, ok := d.(networkdriver.Restorer); ok {
		return r.Restore(ctx, list)
	}
	var failed []error
	for _, r := range list {
		err := d.CreateNetwork(ctx, r.Network)
		for _, e := range r.Endpoints {
			if err == nil {
				_, err = d.CreateEndpoint(ctx, e.Endpoint)
			}
			if p, ok := d.(networkdriver.Publisher); ok && err == nil && len(e.Ports) > 0 {
				err = p.Publish(ctx, e.Endpoint.NetworkID, e.Endpoint.ID, e.Ports)
			}
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("network %s: %w", r.Network.Name, err))
		}
	}
	return errors.Join(failed...)
}

func (n *Networks) restored(nw *Network) networkdriver.Restored {
	r := networkdriver.Restored{Network: nw.forDriver()}
	for _, ep := range nw.endpoints {
		e := networkdriver.RestoredEndpoint{
			Endpoint: ep.forDriver(), Sandbox: networkdriver.Sandbox{Path: ep.box.path(), Interface: ep.Interface},
		}
		if ep.Publishes {
			e.Ports = runs(ep.box.Ports)
		}
		r.Endpoints = append(r.Endpoints, e)
	}
	return r
}

// predefine adds none, host and, unless it is switched off, bridge.
func (n *Networks) predefine() error {
	for _, p := range []struct{ name, driver string }{{"none", "null"}, {"host", "host"}} {
		id := n.predefinedID(p.name)
		n.byID[id] = newNetwork(&record{
			Format: format, ID: id, Name: p.name, Driver: p.driver, Created: n.cfg.Created.UTC(), EnableIPv4: true,
		})
	}
	id := n.predefinedID("bridge")
	if n.cfg.Default.Bridge == "none" {
		if n.byID[id] != nil { // of a former start without the switch
			delete(n.byID, id)
			return durable.Remove(n.cfg.FS, n.recordPath(id))
		}
		return nil
	}
	r, err := n.defaultBridge(id, n.byID[id])
	if err != nil {
		return fmt.Errorf("default network: %w", err)
	}
	n.byID[id] = newNetwork(r)
	return n.save(r)
}

// predefinedID tells engines apart, so that two of them do not give the same ids.
func (n *Networks) predefinedID(name string) string {
	sum := sha256.Sum256([]byte(n.cfg.EngineID + "/network/" + name))
	return hex.EncodeToString(sum[:])
}

// defaultBridge describes the network "bridge": with the subnet that it had, if that is
// still free and the flags do not say otherwise.
func (n *Networks) defaultBridge(id string, was *Network) (*record, error) {
	d := n.cfg.Default
	r := &record{
		Format: format, ID: id, Name: "bridge", Driver: "bridge", Created: n.cfg.Created.UTC(),
		EnableIPv4: true, EnableIPv6: d.EnableIPv6,
		Options: map[string]string{
			"com.docker.network.bridge.default_bridge":       "true",
			"com.docker.network.bridge.enable_icc":           strconv.FormatBool(d.ICC),
			"com.docker.network.bridge.enable_ip_masquerade": strconv.FormatBool(d.Masq),
			"com.docker.network.bridge.host_binding_ipv4":    n.cfg.BindIP.String(),
			"com.docker.network.bridge.name":                 d.Bridge,
			"com.docker.network.driver.mtu":                  strconv.Itoa(d.MTU),
		},
	}
	var others []netip.Prefix
	for _, nw := range n.byID {
		for _, s := range nw.Subnets {
			if nw.ID != id {
				others = append(others, s.Subnet)
			}
		}
	}
	onHost := slices.DeleteFunc(hostRanges(), func(p netip.Prefix) bool {
		return slices.Contains(rangesOf(d.Bridge), p) // its own route
	})
	sub := subnet{Range: d.FixedRange}
	switch {
	case d.Address.IsValid():
		sub.Subnet, sub.Gateway = d.Address.Masked(), d.Address.Addr()
	case was != nil && len(was.Subnets) > 0 && !overlapsAny(was.Subnets[0].Subnet, append(onHost, others...)):
		sub.Subnet, sub.Gateway = was.Subnets[0].Subnet, was.Subnets[0].Gateway
	default:
		p, err := ipam.Choose(n.cfg.Pools, false, append(onHost, others...))
		if err != nil {
			return nil, err
		}
		sub.Subnet, sub.Gateway = p, p.Addr().Next()
	}
	r.Subnets = append(r.Subnets, sub)
	if d.EnableIPv6 {
		p := d.FixedIPv6
		if !p.IsValid() && was != nil && len(was.Subnets) > 1 {
			p = was.Subnets[1].Subnet
		}
		if !p.IsValid() {
			var err error
			if p, err = n.uniqueLocal(append(onHost, others...)); err != nil {
				return nil, err
			}
		}
		r.Subnets = append(r.Subnets, subnet{Subnet: p.Masked(), Gateway: p.Masked().Addr().Next()})
	}
	return r, nil
}

func overlapsAny(p netip.Prefix, list []netip.Prefix) bool {
	return slices.ContainsFunc(list, p.Overlaps)
}

// loadBoxes reads the boxes of containers whose process still lives; the files of the others go.
func (n *Networks) loadBoxes() {
	if err := durable.MkdirAllUnsynced(n.cfg.FS, n.cfg.RunDir, 0o700); err != nil {
		n.cfg.Log.Errorf("networks of running containers: %v", err)
		return
	}
	entries, err := n.cfg.FS.ReadDir(n.cfg.RunDir)
	if err != nil {
		n.cfg.Log.Errorf("networks of running containers: %v", err)
		return
	}
	for _, e := range entries {
		path := filepath.Join(n.cfg.RunDir, e.Name())
		container, ok := strings.CutSuffix(e.Name(), ".json")
		box := new(Box)
		if ok {
			err := durable.ReadJSON(n.cfg.FS, path, box)
			ok = err == nil && box.Format == format && box.Container == container
			if !ok {
				n.cfg.Log.Errorf("container %s: the record of its networks is damaged: restart the container to connect it again", container)
			}
		}
		if p := (pidfd.Process{Pid: box.Pid, StartTime: box.StartTime}); !ok || !p.Alive() {
			if err := n.cfg.FS.Remove(path); err != nil {
				n.cfg.Log.Errorf("networks of container %s: %v", container, err)
			}
			continue
		}
		n.adopt(box)
	}
}

func (n *Networks) adopt(box *Box) {
	n.boxes[box.Container] = box
	known := box.Endpoints[:0]
	for _, ep := range box.Endpoints {
		nw := n.byID[ep.Network]
		if nw == nil {
			n.cfg.Log.Errorf("container %s: its network %s is not there any more", box.Name, ep.Network)
			continue
		}
		if ep.Config == nil {
			ep.Config = &network.EndpointSettings{}
		}
		ep.network, ep.box = nw, box
		nw.endpoints[ep.ID] = ep
		nw.take(ep.IPv4)
		nw.take(ep.IPv6)
		known = append(known, ep)
	}
	box.Endpoints = known
	n.ports.Take(box.Container, box.Ports)
}

// Close ends the drivers. Networks in use stay as they are.
func (n *Networks) Close() error {
	var failed []error
	for _, d := range n.cfg.Drivers {
		if c, ok := d.(networkdriver.Closer); ok {
			failed = append(failed, c.Close())
		}
	}
	return errors.Join(failed...)
}
