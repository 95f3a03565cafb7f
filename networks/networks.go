package networks

import (
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/networkdriver"
	"github.com/jobengine/engine/networks/dns"
	"github.com/jobengine/engine/networks/forward"
	"github.com/jobengine/engine/networks/ipam"
	"github.com/jobengine/engine/networks/ports"
)

// Config of the noun.
type Config struct {
	Dir      string // of the records, in the data root
	RunDir   string // of the boxes, in the exec root
	EngineID string // of the networks that are always there
	Created  time.Time
	Drivers  map[string]networkdriver.Driver
	Default  Default
	Pools    []ipam.Pool
	// Servers are asked for names that no network knows, for containers that name none; nil: those
	// of the file Resolvers, "" is /etc/resolv.conf.
	Servers   []netip.Addr
	Resolvers string
	// HostGateway is where containers find the host; nil: at the default bridge.
	HostGateway []netip.Addr
	BindIP      netip.Addr // where ports are published that name no address; unspecified: everywhere
	Events      Events
	Log         logrus.FieldLogger
	FS          durable.FS
}

// Default is the network "bridge".
type Default struct {
	Bridge     string       // the interface; "none": there is no such network
	Given      bool         // Bridge is the administrator's, and has its address
	Address    netip.Prefix // of the interface, with the length of the subnet; invalid: chosen
	FixedRange netip.Prefix
	FixedIPv6  netip.Prefix
	EnableIPv6 bool
	MTU        int
	ICC, Masq  bool
}

// Networks knows the networks of one engine and what is connected to them.
type Networks struct {
	cfg       Config
	ports     *ports.Table
	relay     *forward.Relay
	forwarder *dns.Forwarder

	linking  sync.Mutex
	relaying sync.Mutex
	relayed  map[networkdriver.Driver]bool // who knows where the relay listens

	mu    sync.Mutex // never held across a driver or the disk
	byID  map[string]*Network
	boxes map[string]*Box // by container
}

// New reads the records. Boot makes the networks.
func New(cfg Config) (*Networks, error) {
	if cfg.FS == nil {
		cfg.FS = durable.OS
	}
	if cfg.Pools == nil {
		cfg.Pools = ipam.DefaultPools()
	}
	if !cfg.BindIP.IsValid() {
		cfg.BindIP = netip.IPv4Unspecified()
	}
	if cfg.Resolvers == "" {
		cfg.Resolvers = "/etc/resolv.conf"
	}
	n := &Networks{cfg: cfg, ports: ports.NewTable(), forwarder: dns.NewForwarder(cfg.Servers, cfg.Resolvers), byID: map[string]*Network{}, boxes: map[string]*Box{}, relayed: map[networkdriver.Driver]bool{}}
	n.relay = forward.New(n.relayTo)
	return n, n.load()
}

// all gives the networks, sorted by the time of their creation.
func (n *Networks) all() []*Network {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []*Network
	for _, nw := range n.byID {
		if !nw.making {
			list = append(list, nw)
		}
	}
	slices.SortFunc(list, func(a, b *Network) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list
}

// find resolves a full id, a full name, or a unique prefix of an id.
func (n *Networks) find(ref string) (*Network, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.findLocked(ref)
}

func (n *Networks) findLocked(ref string) (*Network, error) {
	if nw := n.byID[ref]; nw != nil && !nw.making {
		return nw, nil
	}
	var found []*Network
	for _, nw := range n.byID {
		if nw.making {
			continue
		}
		if nw.Name == ref {
			return nw, nil
		}
		if ref != "" && strings.HasPrefix(nw.ID, ref) {
			found = append(found, nw)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, errs.NotFound("network %s not found", ref)
	}
	return nil, errs.Invalid("network %s is ambiguous (%d matches found on ID prefix)", ref, len(found))
}

// Resolve gives the name and the id of a network.
func (n *Networks) Resolve(ref string) (name, id string, err error) {
	if ref == "default" {
		ref = n.defaultName()
	}
	nw, err := n.find(ref)
	if err != nil {
		return "", "", err
	}
	return nw.Name, nw.ID, nil
}

// defaultName is the network of containers that name none.
func (n *Networks) defaultName() string {
	if n.cfg.Default.Bridge == "none" {
		return "none"
	}
	return "bridge"
}

// ID gives the id of a network by name, "" if there is none.
func (n *Networks) ID(name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, nw := range n.byID {
		if nw.Name == name {
			return nw.ID
		}
	}
	return ""
}

// Drivers names the drivers that networks can have, sorted.
func (n *Networks) Drivers() []string {
	var names []string
	for name := range n.cfg.Drivers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func newID() string {
	b := make([]byte, 32)
	rand.Read(b)
	return hex.EncodeToString(b)
}
