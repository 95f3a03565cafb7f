package server

import "github.com/jobengine/engine/internal/errs"

// swarmRoutes answer what clients ask in passing: this is no cluster.
func (s *Server) swarmRoutes() []route {
	var rows []route
	for _, path := range []string{"/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs"} {
		rows = append(rows, route{"GET", path, notSwarm}, route{"GET", path + "/{rest:.*}", notSwarm})
	}
	return rows
}

func notSwarm(*response, *request) error {
	return errs.Unavailable(`This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.`)
}
