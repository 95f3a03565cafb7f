package networkdriver

import "fmt"

// What drivers do alike with the networks that they know.

// Short is an id as names of interfaces and messages have it.
func Short(id string) string { return id[:min(12, len(id))] }

// Find looks for a network and one of its endpoints in what a driver keeps; with endpointID "" for the
// network alone. ErrNotFound. The driver holds its lock.
func Find[N, E any](networks map[string]*N, endpoints func(*N) map[string]*E, networkID, endpointID string) (*N, *E, error) {
	nw := networks[networkID]
	if nw == nil {
		return nil, nil, fmt.Errorf("network %s: %w", Short(networkID), ErrNotFound)
	}
	if endpointID == "" {
		return nw, nil, nil
	}
	ep := endpoints(nw)[endpointID]
	if ep == nil {
		return nil, nil, fmt.Errorf("endpoint %s: %w", Short(endpointID), ErrNotFound)
	}
	return nw, ep, nil
}
