package server

import (
	"net/http"

	"github.com/moby/moby/api/types/volume"

	"github.com/jobengine/engine/internal/errs"
)

// There are no volumes and no managed plugins yet: the lists are empty and
// every name is unknown.

func (s *Server) getVolumes(w *response, r *request) error {
	if _, err := r.filters(); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, volume.ListResponse{Volumes: []volume.Volume{}})
}

func (s *Server) getVolume(w *response, r *request) error {
	return errs.NotFound("get %s: no such volume", r.vars["name"])
}

func (s *Server) getPlugins(w *response, r *request) error {
	return writeJSON(w, http.StatusOK, []struct{}{})
}

func (s *Server) getPlugin(w *response, r *request) error {
	return errs.NotFound("plugin %q not found", r.vars["name"])
}
