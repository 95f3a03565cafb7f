package server

import (
	"net/http"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

func (s *Server) getNetworks(w *response, r *request) error {
	f, err := r.filters()
	if err != nil {
		return err
	}
	out, err := jobs.Networks.Run(r.Context(), s.eng, jobs.NetworksIn{Filters: f}, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, networksFor(r.version, out.Networks))
}

func (s *Server) getNetwork(w *response, r *request) error {
	in := jobs.NetworkInspectIn{Network: r.vars["name"], Verbose: r.flag("verbose"), Scope: r.get("scope")}
	out, err := jobs.NetworkInspect.Run(r.Context(), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, networkFor(r.version, &out.Inspect))
}

// deleteNetwork refuses: the networks that there are cannot be removed.
func (s *Server) deleteNetwork(w *response, r *request) error {
	out, err := jobs.NetworkInspect.Run(r.Context(), s.eng, jobs.NetworkInspectIn{Network: r.vars["name"]}, caller(r))
	if err != nil {
		return err
	}
	return errs.Forbidden("%s is a pre-defined network and cannot be removed", out.Name)
}
