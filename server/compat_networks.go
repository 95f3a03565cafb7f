package server

import "github.com/moby/moby/api/types/network"

// networksFor gives a list of networks in a version's shape: before 1.52 each
// had the containers of its inspection, in a list always empty.
func networksFor(v apiVersion, rows []network.Summary) any {
	if !v.before(52) {
		return list(rows)
	}
	old := make([]networkBefore52, len(rows))
	for i := range rows {
		old[i].Summary = &rows[i]
	}
	return old
}

type networkBefore52 struct {
	*network.Summary
	Containers struct{}
}
