package server

import (
	"net/http"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

func (s *Server) postExecCreate(w *response, r *request) error {
	var body struct {
		container.ExecCreateRequest
		Cmd words
	}
	if err := decode(w, r, &body, true); err != nil {
		return err
	}
	if len(body.Cmd) == 0 {
		return errs.Invalid("No exec command specified")
	}
	in := jobs.ExecCreateIn{Container: r.vars["name"], ExecCreateRequest: body.ExecCreateRequest}
	in.Cmd = body.Cmd
	execCreateFrom(r.version, &in.ExecCreateRequest)
	out, err := jobs.ExecCreate.Run(settled(r), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, out.ExecCreateResponse)
}

// postExecStart connects the client to the process, or not at all if detached.
// A client that goes away leaves the process running: that is for the job to keep.
func (s *Server) postExecStart(w *response, r *request) error {
	var body container.ExecStartRequest
	if err := decode(w, r, &body, false); err != nil {
		return err
	}
	if r.version.before(42) {
		body.ConsoleSize = nil
	}
	if body.ConsoleSize != nil && !body.Tty {
		return errs.Invalid("ConsoleSize: needs Tty")
	}
	in := jobs.ExecStartIn{Exec: r.vars["id"], Detach: body.Detach, Tty: body.Tty, ConsoleSize: body.ConsoleSize}
	if in.Detach {
		if _, err := jobs.ExecStart.Run(settled(r), s.eng, in, nil, caller(r)); err != nil {
			return err
		}
		return noContent(w, http.StatusOK)
	}
	h, ctx := newHijack(w, r)
	_, err := jobs.ExecStart.Run(ctx, s.eng, in, func(o jobs.ExecStartOpen) (engine.Streams, error) {
		return h.open(o.Tty)
	}, caller(r))
	return h.finish(err)
}

func (s *Server) postExecResize(w *response, r *request) error {
	in := jobs.ExecResizeIn{Exec: r.vars["id"]}
	var err error
	if in.Height, err = r.size("h"); err != nil {
		return err
	}
	if in.Width, err = r.size("w"); err != nil {
		return err
	}
	if _, err := jobs.ExecResize.Run(settled(r), s.eng, in, caller(r)); err != nil {
		return err
	}
	return noContent(w, http.StatusOK)
}

func (s *Server) getExec(w *response, r *request) error {
	out, err := jobs.ExecInspect.Run(r.Context(), s.eng, jobs.ExecInspectIn{Exec: r.vars["id"]}, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out.ExecInspectResponse)
}
