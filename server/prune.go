package server

import (
	"net/http"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"

	"github.com/jobengine/engine/jobs"
)

// writePruned answers with what was removed. Since 1.56 a client may ask for a
// stream of progress, whose last message has it; ours has no other messages.
func writePruned(w *response, r *request, report any) error {
	if r.version.before(56) || !r.flag("stream") {
		return writeJSON(w, http.StatusOK, report)
	}
	w.Header().Set("Content-Type", "application/jsonl")
	return writeTail(w, struct {
		Aux any `json:"aux"`
	}{report})
}

func (s *Server) postContainersPrune(w *response, r *request) error {
	f, err := r.filters()
	if err != nil {
		return err
	}
	out, err := jobs.ContainerPrune.Run(settled(r), s.eng, jobs.ContainerPruneIn{Filters: f}, caller(r))
	if err != nil {
		return err
	}
	return writePruned(w, r, out.PruneReport)
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
	return writePruned(w, r, out.PruneReport)
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
	return writePruned(w, r, network.PruneReport{NetworksDeleted: out.NetworksDeleted})
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
	return writePruned(w, r, volume.PruneReport{VolumesDeleted: []string{}})
}

func (s *Server) postBuildPrune(w *response, r *request) error {
	f, err := r.filters()
	if err == nil {
		err = f.Check("until", "id", "parent", "type", "description", "inuse", "shared", "private")
	}
	if err != nil {
		return err
	}
	return writePruned(w, r, build.CachePruneReport{})
}
