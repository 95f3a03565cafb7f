package server

import (
	"net/http"

	"github.com/jobengine/engine/jobs"
)

// postSystemCheck is a route of ours. What is found is no failure of the request.
func (s *Server) postSystemCheck(w *response, r *request) error {
	out, err := jobs.SystemCheck.Run(settled(r), s.eng, jobs.SystemCheckIn{Repair: r.flag("repair")}, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}
