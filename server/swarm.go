package server

import "github.com/jobengine/engine/internal/errs"

// swarmRoutes answer what clients ask in passing: this is no cluster.
func swarmRoutes() []route {
	rows := []route{
		{"POST", "/swarm/leave", notInSwarm},
		{"POST", "/swarm/init", missing("swarm")},
		{"POST", "/swarm/join", missing("swarm")},
	}
	for _, path := range []string{"/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			rows = append(rows, route{method, path + "/{rest:.*}", notSwarm})
		}
		rows = append(rows, route{"GET", path, notSwarm})
	}
	return rows
}

func notSwarm(*response, *request) error {
	return errs.Unavailable(`This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.`)
}

func notInSwarm(*response, *request) error {
	return errs.Unavailable("This node is not part of a swarm")
}
