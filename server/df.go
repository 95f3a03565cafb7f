package server

import (
	"net/http"

	"github.com/moby/moby/api/types/system"

	"github.com/jobengine/engine/jobs"
)

func (s *Server) getSystemDf(w *response, r *request) error {
	in := jobs.SystemDfIn{}
	if !r.version.before(42) {
		for _, kind := range r.form["type"] {
			in.Types = append(in.Types, system.DiskUsageObject(kind))
		}
	}
	out, err := jobs.SystemDf.Run(r.Context(), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, diskUsageFor(r.version, r.flag("verbose"), &out.DiskUsage))
}
