package networks

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/errs"
)

// Networks knows the networks of one engine.
type Networks struct {
	list []network.Inspect
}

// New makes the noun. engineID tells engines apart, so that two of them do
// not give the same ids to their networks.
func New(engineID string, created time.Time) *Networks {
	n := &Networks{}
	for _, predefined := range []struct{ name, driver string }{{"none", "null"}, {"host", "host"}} {
		sum := sha256.Sum256([]byte(engineID + "/network/" + predefined.name))
		n.list = append(n.list, network.Inspect{
			Network: network.Network{
				Name: predefined.name, ID: hex.EncodeToString(sum[:]), Created: created.UTC(),
				Scope: "local", Driver: predefined.driver, EnableIPv4: true,
				IPAM:    network.IPAM{Driver: "default", Config: []network.IPAMConfig{}},
				Options: map[string]string{}, Labels: map[string]string{},
			},
			Containers: map[string]network.EndpointResource{},
		})
	}
	return n
}

// ID gives the id of a network by name, "" if there is none.
func (n *Networks) ID(name string) string {
	for _, nw := range n.list {
		if nw.Name == name {
			return nw.ID
		}
	}
	return ""
}

// Drivers names the drivers that networks can have, sorted.
func (n *Networks) Drivers() []string {
	var names []string
	for _, nw := range n.list {
		names = append(names, nw.Driver)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// find resolves a full name, a full id, or a unique prefix of an id.
func (n *Networks) find(ref string) (network.Inspect, error) {
	var found []network.Inspect
	for _, nw := range n.list {
		if nw.Name == ref || nw.ID == ref {
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
		return network.Inspect{}, errs.NotFound("network %s not found", ref)
	default:
		return network.Inspect{}, errs.Invalid("network %s is ambiguous (%d matches found on ID prefix)", ref, len(found))
	}
}
