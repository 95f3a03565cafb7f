package server

import (
	"net/http"

	"github.com/jobengine/engine/jobs"
)

// postSystemCheck is a route of ours. What is found is no failure of the request.
func (s *Server) postSystemCheck(w *response, r *request) error {
	in := jobs.SystemCheckIn{Repair: r.flag("repair"), Full: r.flag("full")}
	ctx := r.Context()
	if in.Repair { // once begun, a repair is brought to its end
		ctx = settled(r)
	}
	out, err := jobs.SystemCheck.Run(ctx, s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}
