package server

import (
	"net/http"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"

	"github.com/jobengine/engine/jobs"
)

func (s *Server) postContainersPrune(w *response, r *request) error {
	f, err := r.filters()
	if err != nil {
		return err
	}
	out, err := jobs.ContainerPrune.Run(settled(r), s.eng, jobs.ContainerPruneIn{Filters: f}, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out.PruneReport)
}

func (s *Server) postImagesPrune(w *response, r *request) error {
	f, err := r.filters()
	if err != nil {
		return err
	}
	out, err := jobs.ImagePrune.Run(settled(r), s.eng, jobs.ImagePruneIn{Filters: f}, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out.PruneReport)
}

func (s *Server) postNetworksPrune(w *response, r *request) error {
	f, err := r.filters()
	if err != nil {
		return err
	}
	out, err := jobs.NetworkPrune.Run(settled(r), s.eng, jobs.NetworkPruneIn{Filters: f}, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, network.PruneReport{NetworksDeleted: out.NetworksDeleted})
}

// There are no volumes with a name and no build cache yet: nothing of them can
// be unused.

func (s *Server) postVolumesPrune(w *response, r *request) error {
	f, err := r.filters()
	if err == nil {
		err = f.Check("all", "label", "label!")
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, volume.PruneReport{VolumesDeleted: []string{}})
}

func (s *Server) postBuildPrune(w *response, r *request) error {
	f, err := r.filters()
	if err == nil {
		err = f.Check("until", "id", "parent", "type", "description", "inuse", "shared", "private")
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, build.CachePruneReport{})
}
