package server

import "github.com/moby/moby/api/types/network"

// networkCreateFrom drops what an older version did not have.
func networkCreateFrom(v apiVersion, in *network.CreateRequest) {
	if v.before(48) {
		in.EnableIPv4 = nil
	}
}

// connectFrom drops what an older version did not have.
func connectFrom(v apiVersion, in *network.ConnectRequest) {
	if in.EndpointConfig == nil {
		return
	}
	if v.before(48) {
		in.EndpointConfig.GwPriority = 0
	}
	if v.before(44) {
		in.EndpointConfig.MacAddress = nil
	}
}

// networksFor gives a list of networks in a version's shape: before 1.52 each
// had the containers of its inspection, in a list always empty.
func networksFor(v apiVersion, rows []network.Summary) any {
	if !v.before(52) {
		return list(rows)
	}
	old := make([]networkBefore52, len(rows))
	for i := range rows {
		old[i].Summary = &rows[i]
		if !v.before(48) {
			old[i].EnableIPv4 = &rows[i].EnableIPv4
		}
	}
	return old
}

type networkBefore52 struct {
	*network.Summary
	EnableIPv4 *bool `json:",omitempty"` // since 1.48
	Containers struct{}
}

// networkFor gives the inspection of a network in a version's shape.
func networkFor(v apiVersion, n *network.Inspect) any {
	if n.Containers == nil {
		n.Containers = map[string]network.EndpointResource{}
	}
	if v.before(52) {
		n.Status = nil
	}
	if !v.before(48) {
		return n
	}
	return networkBefore48{Inspect: n}
}

type networkBefore48 struct {
	*network.Inspect
	EnableIPv4 absent `json:",omitempty"`
}
