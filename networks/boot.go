package networks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/networkdriver"
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
	n.goOn()
	var failed error
	byDriver := map[string][]networkdriver.Restored{}
	for name := range n.cfg.Drivers {
		byDriver[name] = nil // also one without networks may find something of a former life
	}
	for _, nw := range n.all() {
		if nw.ConfigOnly {
			continue
		}
		byDriver[nw.Driver] = append(byDriver[nw.Driver], n.restored(nw))
	}
	for name, list := range byDriver {
		d := n.cfg.Drivers[name]
		if d == nil {
			n.cfg.Log.Errorf("%d networks have the driver %q, which is not there: containers on them will not start", len(list), name)
			continue
		}
		for _, nw := range list {
			if slices.ContainsFunc(nw.Endpoints, func(e networkdriver.RestoredEndpoint) bool { return len(e.Ports) > 0 }) {
				if err := n.openRelay(d); err != nil {
					n.cfg.Log.Errorf("the relay of published ports: %v", err)
				}
				break
			}
		}
		if err := restore(ctx, d, list); err != nil {
			n.cfg.Log.Errorf("networks of driver %s: %v", name, err)
			if name == DefaultDriver {
				failed = n.defaultIsThere(ctx)
			}
		}
	}
	n.resolveAll()
	n.finishLeaving(ctx)
	return failed
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
		e.Links = n.linksOf(ep)
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
	was := n.byID[id]
	if n.cfg.Default.Bridge == "none" {
		if was != nil { // of a former start without the switch
			delete(n.byID, id)
			return durable.Remove(n.cfg.FS, n.recordPath(id))
		}
		return nil
	}
	if was != nil && was.Options[optBridgeName] != n.cfg.Default.Bridge {
		was = nil // it had another interface
	}
	r, err := n.defaultBridge(id, was)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoDefault, err)
	}
	n.byID[id] = newNetwork(r)
	return n.save(r)
}

// predefinedID tells engines apart, so that two of them do not give the same ids.
func (n *Networks) predefinedID(name string) string {
	sum := sha256.Sum256([]byte(n.cfg.EngineID + "/network/" + name))
	return hex.EncodeToString(sum[:])
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
		if id, ok := strings.CutSuffix(e.Name(), lastGiven); ok && n.byID[id] != nil {
			continue
		}
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
	n.keepGiven()
	failed := []error{n.relay.Close()}
	n.closeResolvers()
	for _, d := range n.cfg.Drivers {
		if c, ok := d.(networkdriver.Closer); ok {
			failed = append(failed, c.Close())
		}
	}
	return errors.Join(failed...)
}
