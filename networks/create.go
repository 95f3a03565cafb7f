package networks

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/jobs"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networks/ipam"
)

func (n *Networks) create(ctx context.Context, _ *engine.Job, in jobs.NetworkCreateIn) (jobs.NetworkCreateOut, error) {
	var err error
	if in.CreateRequest, err = n.configured(in.CreateRequest); err != nil {
		return jobs.NetworkCreateOut{}, err
	}
	r, err := n.newRecord(in.CreateRequest)
	if err != nil {
		return jobs.NetworkCreateOut{}, err
	}
	// A client that goes away must not leave a network half made.
	nw, err := n.make(context.WithoutCancel(ctx), r, in.IPAM)
	if err != nil {
		return jobs.NetworkCreateOut{}, err
	}
	n.event(events.ActionCreate, nw, nil)
	return jobs.NetworkCreateOut{ID: nw.ID}, nil
}

var validName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// newRecord checks a request.
func (n *Networks) newRecord(in network.CreateRequest) (*record, error) {
	r := &record{
		Format: format, ID: newID(), Name: in.Name, Created: time.Now().UTC(), Driver: in.Driver,
		Internal: in.Internal, Attachable: in.Attachable, EnableIPv4: true, Options: in.Options, Labels: in.Labels,
	}
	switch {
	case strings.TrimSpace(in.Name) == "":
		return nil, errs.Invalid("invalid name: name is empty")
	case !validName.MatchString(in.Name):
		return nil, errs.Invalid("%q includes invalid characters, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed", in.Name)
	case in.Name == "none", in.Name == "host", in.Name == "bridge", in.Name == "default":
		return nil, errs.Forbidden("operation is not permitted on predefined %s network ", in.Name)
	case in.Driver == "overlay":
		return nil, errs.Forbidden("This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.")
	case in.Ingress:
		return nil, errs.Forbidden("Ingress network can only be global scope network")
	case in.Scope == "swarm":
		return nil, errs.Forbidden("cannot create a swarm scoped network when swarm is not active")
	case in.Scope != "" && in.Scope != "local":
		return nil, errs.Invalid("invalid scope %q: networks of this engine are local", in.Scope)
	case in.Driver == "ipvlan" && !in.ConfigOnly && n.cfg.Drivers["ipvlan"] == nil:
		return nil, errs.NotImplemented("ipvlan networks do not exist in this version; macvlan networks do")
	}
	if r.Driver == "" {
		r.Driver = "bridge"
	}
	if r.ConfigOnly = in.ConfigOnly; r.ConfigOnly {
		r.Driver = "null"
	} else if err := n.checkDriver(r); err != nil {
		return nil, err
	}
	if in.ConfigFrom != nil {
		r.ConfigFrom = in.ConfigFrom.Network
	}
	if in.EnableIPv4 != nil {
		r.EnableIPv4 = *in.EnableIPv4
	}
	if in.EnableIPv6 != nil {
		r.EnableIPv6 = *in.EnableIPv6
	}
	if !r.EnableIPv4 && !r.EnableIPv6 {
		return nil, errs.Invalid("IPv4 or IPv6 must be enabled")
	}
	if in.IPAM != nil {
		r.IPAMDriver, r.IPAMOptions = in.IPAM.Driver, in.IPAM.Options
		if r.IPAMDriver != "" && r.IPAMDriver != "default" && r.IPAMDriver != "null" {
			return nil, errs.NotFound("plugin %q not found", r.IPAMDriver)
		}
		var bad []string
		given := map[bool]int{}
		for _, c := range in.IPAM.Config {
			bad = append(bad, checkIPAM(c, r.EnableIPv6)...)
			given[c.Subnet.Addr().Is4()]++
		}
		if len(bad) > 0 {
			return nil, errs.Invalid("invalid network config:\n%s", points(bad))
		}
		if r.Driver == "bridge" && (given[true] > 1 || given[false] > 1) {
			return nil, errs.Forbidden("bridge driver doesn't support multiple subnets")
		}
	}
	return r, nil
}

// checkDriver looks for the driver, and asks it for what it knows better.
func (n *Networks) checkDriver(r *record) error {
	d, ok := n.cfg.Drivers[r.Driver]
	if !ok {
		return errs.NotFound("plugin %q not found", r.Driver)
	}
	if networkdriver.CapabilitiesOf(d).Predefined {
		return errs.Forbidden("only one instance of \"%s\" network is allowed", r.Driver)
	}
	if c, ok := d.(networkdriver.Completer); ok {
		completed, err := c.Complete((&Network{record: *r}).forDriver())
		if err != nil {
			return err
		}
		r.Internal = completed.Internal
	}
	return nil
}

// make gives a record its subnets, writes it, and lets the driver make the network.
func (n *Networks) make(ctx context.Context, r *record, asked *network.IPAM) (*Network, error) {
	nw, err := n.reserve(r, asked)
	if err != nil {
		return nil, err
	}
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if nw.making = false; err != nil {
			delete(n.byID, nw.ID)
		}
	}()
	// The record first: what a kill leaves in the kernel has an owner then.
	if err = n.save(&nw.record); err == nil && nw.ConfigOnly {
		return nw, nil
	}
	if err == nil {
		err = failpoint.Hit(failpoint.NetworkRecord)
	}
	if err == nil {
		err = n.cfg.Drivers[nw.Driver].CreateNetwork(ctx, nw.forDriver())
	}
	if err != nil {
		// Also if it could not be saved: only the last step of that may have failed.
		if e := durable.Remove(n.cfg.FS, n.recordPath(nw.ID)); e != nil {
			n.cfg.Log.Errorf("network %s: it could not be made, and its record not be removed: %v", nw.Name, e)
		}
		if errors.Is(err, networkdriver.ErrInUse) {
			err = errs.Forbidden("%w", err)
		}
		return nil, err
	}
	return nw, nil
}

// reserve takes the name and the subnets, so that nobody else gets them meanwhile.
func (n *Networks) reserve(r *record, asked *network.IPAM) (*Network, error) {
	onHost := hostRanges()
	n.mu.Lock()
	defer n.mu.Unlock()
	var ours []netip.Prefix
	for _, nw := range n.byID {
		if nw.Name == r.Name {
			return nil, errs.Conflict("network with name %s already exists", r.Name)
		}
		for _, s := range nw.Subnets {
			if !nw.ConfigOnly {
				ours = append(ours, s.Subnet)
			}
		}
	}
	if r.ConfigFrom != "" {
		if _, err := n.configurationLocked(r.ConfigFrom); err != nil {
			return nil, err
		}
	}
	if r.ConfigOnly {
		r.keepSubnets(asked)
	} else if networkdriver.CapabilitiesOf(n.cfg.Drivers[r.Driver]).Addresses && r.IPAMDriver != "null" {
		if err := n.chooseSubnets(r, asked, ours, onHost); err != nil {
			return nil, err
		}
	}
	nw := newNetwork(r)
	nw.making = true
	n.byID[r.ID] = nw
	return nw, nil
}

func (n *Networks) chooseSubnets(r *record, asked *network.IPAM, ours, onHost []netip.Prefix) error {
	has := map[bool]bool{} // by family: is it IPv6?
	if asked != nil {
		for _, c := range asked.Config {
			if !c.Subnet.IsValid() {
				continue
			}
			for _, o := range ours {
				if o.Overlaps(c.Subnet) {
					return errs.Forbidden("invalid pool request: Pool overlaps with other one on this address space")
				}
			}
			ours = append(ours, c.Subnet)
			s := subnet{Subnet: c.Subnet.Masked(), Range: c.IPRange, Gateway: c.Gateway, Aux: c.AuxAddress, Given: true}
			has[s.Subnet.Addr().Is6()] = true
			r.Subnets = append(r.Subnets, s)
		}
	}
	for _, v6 := range []bool{false, true} {
		if has[v6] || v6 && !r.EnableIPv6 || !v6 && !r.EnableIPv4 {
			continue
		}
		taken := append(append([]netip.Prefix{}, ours...), onHost...)
		p, err := ipam.Choose(n.cfg.Pools, v6, taken)
		if err != nil && v6 {
			p, err = n.uniqueLocal(taken)
		}
		if err != nil {
			return errs.Invalid("%w", err)
		}
		ours = append(ours, p)
		r.Subnets = append(r.Subnets, subnet{Subnet: p})
	}
	for i := range r.Subnets {
		s := &r.Subnets[i]
		if err := s.checkAux(); err != nil {
			return err
		}
		if s.Gateway.IsValid() || r.Internal && r.Driver != "bridge" {
			continue
		}
		space := newNetwork(&record{Subnets: []subnet{*s}}).spaces[0] // without what is taken by name
		gw, err := space.Next()
		if err != nil {
			return errs.Invalid("no address is left for the gateway of %s", s.Subnet)
		}
		s.Gateway = gw
	}
	return nil
}

// uniqueLocal makes a /64 of random unique local addresses (RFC 4193).
func (n *Networks) uniqueLocal(taken []netip.Prefix) (netip.Prefix, error) {
	var b [16]byte
	rand.Read(b[1:6])
	b[0] = 0xfd
	return ipam.Choose([]ipam.Pool{{Base: netip.PrefixFrom(netip.AddrFrom16(b), 48), Size: 64}}, true, taken)
}
