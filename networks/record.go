package networks

import (
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
)

// format is the version of the records that are written.
const format = 1

// record is a network as it lies on disk, ID.json in the folder networks.
type record struct {
	Format      int
	ID          string
	Name        string
	Created     time.Time
	Driver      string
	Internal    bool              `json:",omitempty"`
	Attachable  bool              `json:",omitempty"`
	ConfigOnly  bool              `json:",omitempty"` // no network, but a description to make some from
	ConfigFrom  string            `json:",omitempty"` // the name of the description that it was made from
	EnableIPv4  bool              `json:",omitempty"`
	EnableIPv6  bool              `json:",omitempty"`
	IPAMDriver  string            `json:",omitempty"`
	IPAMOptions map[string]string `json:",omitempty"`
	Subnets     []subnet          `json:",omitempty"` // in the order of the request
	Options     map[string]string `json:",omitempty"`
	Labels      map[string]string `json:",omitempty"`
}

// subnet is one range of addresses.
type subnet struct {
	Subnet  netip.Prefix // masked
	Range   netip.Prefix `json:",omitzero"`
	Gateway netip.Addr   `json:",omitzero"`
	Aux     map[string]netip.Addr
	// Given: the user named the subnet, and may name addresses in it.
	Given bool `json:",omitempty"`
}

func (n *Networks) recordPath(id string) string { return filepath.Join(n.cfg.Dir, id+".json") }

func (n *Networks) save(r *record) error {
	return durable.WriteJSON(n.cfg.FS, n.recordPath(r.ID), r, 0o600)
}

// load reads all records. One that is damaged is logged and left where it is; the
// others are there.
func (n *Networks) load() error {
	if err := durable.MkdirAll(n.cfg.FS, n.cfg.Dir, 0o700); err != nil {
		return err
	}
	if err := durable.Sweep(n.cfg.FS, n.cfg.Dir); err != nil {
		return err
	}
	entries, err := n.cfg.FS.ReadDir(n.cfg.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		r := new(record)
		err := durable.ReadJSON(n.cfg.FS, n.recordPath(id), r)
		if err == nil {
			err = r.check(id)
		}
		if err != nil {
			n.cfg.Log.Errorf("network %s: its record is damaged: %v; remove %s and create the network again", id, err, n.recordPath(id))
			continue
		}
		n.byID[id] = newNetwork(r)
	}
	return nil
}

func (r *record) check(id string) error {
	switch {
	case r.Format > format:
		return errs.DataLoss("format %d; this engine knows up to %d", r.Format, format)
	case r.Format < 1, r.ID != id, r.Name == "", r.Driver == "":
		return errs.DataLoss("it lacks fields")
	}
	for _, s := range r.Subnets {
		if !s.Subnet.IsValid() {
			return errs.DataLoss("a subnet is not valid")
		}
	}
	return nil
}

// api gives a record the API's shape.
func (r *record) api() network.Network {
	ipam := network.IPAM{Driver: r.IPAMDriver, Options: r.IPAMOptions, Config: []network.IPAMConfig{}}
	if ipam.Driver == "" {
		ipam.Driver = "default"
	}
	for _, s := range r.Subnets {
		ipam.Config = append(ipam.Config, network.IPAMConfig{Subnet: s.Subnet, IPRange: s.Range, Gateway: s.Gateway, AuxAddress: s.Aux})
	}
	return network.Network{
		Name: r.Name, ID: r.ID, Created: r.Created, Scope: "local", Driver: r.Driver,
		EnableIPv4: r.EnableIPv4, EnableIPv6: r.EnableIPv6, IPAM: ipam,
		Internal: r.Internal, Attachable: r.Attachable,
		ConfigOnly: r.ConfigOnly, ConfigFrom: network.ConfigReference{Network: r.ConfigFrom},
		Options: orEmpty(r.Options), Labels: orEmpty(r.Labels),
	}
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
