package networks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/internal/sandbox"
)

// Connect puts a running container on a further network. After an error nothing has changed.
func (n *Networks) Connect(ctx context.Context, container, ref string, config *network.EndpointSettings, hostname string) error {
	box := n.box(container)
	if box == nil {
		return fmt.Errorf("container %s has no networks", container)
	}
	nw, err := n.find(ref)
	if err != nil {
		return err
	}
	ep, err := n.addEndpoint(ctx, box, nw, config, hostname)
	if err != nil {
		return err
	}
	itf, err := n.join(ctx, ep, box.freeName())
	if err == nil {
		err = failpoint.Hit(failpoint.EndpointMade)
	}
	if err == nil && itf.Name != "" {
		itf.Gateway, itf.GatewayIPv6 = netip.Addr{}, netip.Addr{}
		if err = sandbox.Connect(box.path(), itf); err == nil {
			n.settle(ctx, ep)
			err = n.route(box)
		}
	}
	if err == nil && len(box.Ports) == 0 && (len(box.Asked.Bindings) > 0 || box.Asked.PublishAll) {
		// On its former networks there was no way out.
		if err = n.reservePorts(box); err == nil && len(box.Ports) > 0 {
			err = n.publish(ctx, box)
		}
		if err != nil {
			n.dropPorts(box)
		}
	}
	if err == nil {
		err = n.linkAll(ctx, box)
	}
	if err == nil {
		n.announce(ep)
		err = n.resolve(box)
	}
	if err == nil {
		err = n.saveBox(box)
	}
	if err != nil && n.ended(box) {
		_ = n.removeEndpoint(ctx, ep, true, false)
		return errs.Conflict("container %s ended before it was connected to network %s", box.Name, nw.Name)
	}
	if err != nil {
		return errors.Join(err, n.removeEndpoint(ctx, ep, false, false), n.resolve(box))
	}
	n.event(events.ActionConnect, nw, map[string]string{"container": container})
	return nil
}

// ended tells whether the process of a box has ended, and Release is about to come.
func (n *Networks) ended(box *Box) bool {
	ns, err := os.Open(box.path())
	if err == nil {
		ns.Close()
	}
	return err != nil || !(pidfd.Process{Pid: box.Pid, StartTime: box.StartTime}).Alive()
}

// freeName is the first ethN that the box has no interface of.
func (b *Box) freeName() string {
	used := map[string]bool{}
	for _, ep := range b.Endpoints {
		used[ep.Interface] = true
	}
	for i := 0; ; i++ {
		if name := fmt.Sprintf("eth%d", i); !used[name] {
			return name
		}
	}
}

// route gives a running box the default routes that its networks make.
func (n *Networks) route(box *Box) error {
	var hops []sandbox.Hop
	for _, v6 := range []bool{false, true} {
		for _, ep := range box.waysOut(v6) {
			hop := sandbox.Hop{Interface: ep.Interface, Gateway: ep.Gateway}
			if v6 {
				hop.Gateway = ep.Gateway6
			}
			if !hop.Gateway.IsValid() {
				break // that is how this network wants it
			}
			hops = append(hops, hop)
		}
	}
	return sandbox.SetDefaults(box.path(), hops...)
}

// Disconnect takes a running container from a network. Its published ports go with the
// endpoint that has them, or move to the next one with a way out.
func (n *Networks) Disconnect(ctx context.Context, container, ref string) error {
	nw, err := n.find(ref)
	if err != nil {
		return err
	}
	box := n.box(container)
	if box == nil {
		return fmt.Errorf("container %s is not connected to network %s", container, nw.Name)
	}
	for _, ep := range box.Endpoints {
		if ep.network == nw {
			return n.disconnect(ctx, box, ep)
		}
	}
	return fmt.Errorf("container %s is not connected to network %s", container, nw.Name)
}

// dropPorts gives the ports of a box back, which has no network any more that publishes them.
func (n *Networks) dropPorts(box *Box) {
	n.ports.Free(box.Container, box.Ports)
	n.mu.Lock()
	defer n.mu.Unlock()
	box.Ports = nil
}

func (n *Networks) disconnect(ctx context.Context, box *Box, ep *Endpoint) error {
	// Written before, so that the next daemon ends what a kill in between leaves half done.
	if err := n.setLeaving(box, ep, true); err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.EndpointLeaves); err != nil {
		return errors.Join(err, n.setLeaving(box, ep, false))
	}
	if err := n.removeEndpoint(ctx, ep, false, true); err != nil {
		// It has no place there any more, whatever is left of it in the kernel.
		n.cfg.Log.Errorf("container %s: disconnect it from network %s: %v", box.Name, ep.network.Name, err)
	}
	err := n.route(box)
	if ep.Publishes {
		if next := n.publishing(box); next != nil {
			n.mu.Lock()
			next.Publishes = true
			n.mu.Unlock()
			err = errors.Join(err, n.publish(ctx, box))
		} else {
			n.dropPorts(box)
		}
	}
	if err = errors.Join(err, n.resolve(box), n.saveBox(box)); err != nil && n.ended(box) {
		return nil // it is on no network any more
	}
	return err
}

// setLeaving writes down that an endpoint is about to go, or is not.
func (n *Networks) setLeaving(box *Box, ep *Endpoint, leaving bool) error {
	n.mu.Lock()
	ep.Leaving = leaving
	n.mu.Unlock()
	return n.saveBox(box)
}

// finishLeaving ends the disconnects that a former daemon had begun.
func (n *Networks) finishLeaving(ctx context.Context) {
	for _, box := range n.allBoxes() {
		for _, ep := range slices.Clone(box.Endpoints) {
			if !ep.Leaving {
				continue
			}
			if err := n.disconnect(ctx, box, ep); err != nil {
				n.cfg.Log.Errorf("container %s: it was leaving network %s: %v", box.Name, ep.network.Name, err)
			}
		}
	}
}

func (n *Networks) allBoxes() []*Box {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Values(n.boxes))
}
