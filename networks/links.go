package networks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/networkdriver"
)

// Links of the default network: a container reaches the exposed ports of those that it is linked to, also where
// containers do not reach each other. A box has the ids of those; their ports and addresses are in their own boxes.

// SetLinks says which containers a running one is linked to. A container without a box is no error.
func (n *Networks) SetLinks(ctx context.Context, container string, to []string) error {
	box := n.box(container)
	if box == nil {
		return nil
	}
	n.mu.Lock()
	same := slices.Equal(box.Links, to)
	box.Links = to
	n.mu.Unlock()
	if same {
		return nil
	}
	return errors.Join(n.link(ctx, box), n.saveBox(box))
}

// linkAll opens ports for the links of a box that has come to a network, and of those that are linked to it.
func (n *Networks) linkAll(ctx context.Context, box *Box) error {
	n.mu.Lock()
	var linked []*Box
	for _, other := range n.boxes {
		if other != box && slices.Contains(other.Links, box.Container) {
			linked = append(linked, other)
		}
	}
	own := len(box.Links) > 0
	n.mu.Unlock()
	for _, other := range linked {
		if err := n.link(ctx, other); err != nil {
			n.cfg.Log.Errorf("container %s: what it reaches of %s: %v", other.Name, box.Name, err)
		}
	}
	if !own {
		return nil
	}
	return n.link(ctx, box)
}

// link tells the drivers what a box reaches by its links.
func (n *Networks) link(ctx context.Context, box *Box) error {
	n.linking.Lock() // the last one to look is the last one to tell
	defer n.linking.Unlock()
	n.mu.Lock()
	endpoints := slices.Clone(box.Endpoints)
	n.mu.Unlock()
	for _, ep := range endpoints {
		l, ok := n.cfg.Drivers[ep.network.Driver].(networkdriver.Linker)
		if !ok || ep.network.userDefined() {
			continue
		}
		n.mu.Lock()
		links := n.linksOf(ep)
		n.mu.Unlock()
		err := l.Link(ctx, ep.Network, ep.ID, links)
		if err != nil && !errors.Is(err, networkdriver.ErrNotFound) { // else it has ended meanwhile
			return fmt.Errorf("failed to set up container networking: links of container %s: %w", box.Name, err)
		}
	}
	return nil
}

// linksOf is what an endpoint reaches by links of its box: on networks of users they are names only. n.mu is held.
func (n *Networks) linksOf(ep *Endpoint) (list []networkdriver.Link) {
	if ep.network.userDefined() {
		return nil
	}
	for _, id := range ep.box.Links {
		child := n.boxes[id]
		if child == nil {
			continue
		}
		for _, to := range child.Endpoints {
			if to.Network == ep.Network {
				list = append(list, linkTo(to.ID, child.Asked.Exposed)...)
			}
		}
	}
	return list
}

// linkTo puts ports that follow each other together.
func linkTo(endpoint string, exposed network.PortSet) (list []networkdriver.Link) {
	var ports []network.Port
	for p := range exposed {
		ports = append(ports, p)
	}
	slices.SortFunc(ports, func(a, b network.Port) int {
		return cmp.Or(cmp.Compare(a.Proto(), b.Proto()), cmp.Compare(a.Num(), b.Num()))
	})
	for _, p := range ports {
		if len(list) > 0 {
			last := &list[len(list)-1]
			if last.Proto == string(p.Proto()) && uint32(last.Port)+uint32(last.Count) == uint32(p.Num()) {
				last.Count++
				continue
			}
		}
		list = append(list, networkdriver.Link{EndpointID: endpoint, Proto: string(p.Proto()), Port: p.Num(), Count: 1})
	}
	return list
}
