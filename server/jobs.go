package server

import (
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// mayName refuses the dynamic door to callers who could go round an
// authorization plugin through it, or who have not shown who they are.
func (s *Server) mayName(r *request) error {
	if s.opts.AuthzConfigured {
		return errs.Forbidden("jobs cannot be named while an authorization plugin is in use")
	}
	if p := peerFrom(r.Request); p != nil && p.tcp && !verifiedTLS(r.Request) {
		return errs.Forbidden("jobs can be named on the unix socket, or over TCP with a verified client certificate")
	}
	return nil
}

func (s *Server) getJobs(w *response, r *request) error {
	if err := s.mayName(r); err != nil {
		return err
	}
	out, err := jobs.JobList.Run(r.Context(), s.eng, engine.JobListIn{}, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, list(out.Jobs))
}

func (s *Server) deleteJob(w *response, r *request) error {
	if err := s.mayName(r); err != nil {
		return err
	}
	id, err := strconv.ParseUint(r.vars["id"], 10, 64)
	if err != nil {
		return errs.Invalid("invalid job id: %w", err)
	}
	if _, err := jobs.JobCancel.Run(r.Context(), s.eng, engine.JobCancelIn{ID: id}, caller(r)); err != nil {
		return err
	}
	return noContent(w, http.StatusNoContent)
}

// errorTrailer carries the error of a job whose output had begun.
const errorTrailer = "Engine-Job-Error"

// postJob is the dynamic door. What a job writes is the answer, as it comes;
// the result of one that wrote nothing is the answer as JSON.
func (s *Server) postJob(w *response, r *request) error {
	if err := s.mayName(r); err != nil {
		return err
	}
	name := r.vars["name"]
	defer w.fullDuplex(r)()
	out := &jobOutput{w: w}
	opts := []engine.RunOption{caller(r), engine.Stdout(out), engine.Stderr(out)}
	result, err := s.runNamed(w, r, name, opts)
	if out.begun() {
		if err != nil {
			w.Header().Set(errorTrailer, strings.ToValidUTF8(oneLine(err.Error()), "?"))
			io.WriteString(out, "error: "+err.Error()+"\n")
		}
		return nil
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(result)+1))
	w.WriteHeader(http.StatusOK)
	w.Write(append(result, '\n'))
	return nil
}

func (s *Server) runNamed(w *response, r *request, name string, opts []engine.RunOption) ([]byte, error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "application/json" {
		if len(r.form["arg"])+len(r.form["env"]) > 0 {
			return nil, errs.Invalid("%s: the input is either the JSON body or arg and env, not both", name)
		}
		body, err := readBody(w, r)
		if err != nil {
			return nil, err
		}
		return s.eng.Call(r.Context(), name, body, opts...)
	}
	job := s.eng.Job(name, r.form["arg"]...)
	for _, kv := range r.form["env"] {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, errs.Invalid("%s: env %q: want KEY=VALUE", name, kv)
		}
		job.Setenv(key, value)
	}
	job.With(opts...)
	if r.Body != nil {
		job.With(engine.Stdin(r.Body))
	}
	if err := job.Run(r.Context()); err != nil {
		return nil, err
	}
	return job.Result()
}

// jobOutput begins the answer with the first byte that the job writes to
// either of its output streams.
type jobOutput struct {
	mu    sync.Mutex
	w     *response
	began bool
}

func (o *jobOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if !o.began {
		o.began = true
		o.w.Header().Set("Trailer", errorTrailer)
		o.w.Header().Set("Content-Type", "application/octet-stream")
	}
	return flusher{o.w}.Write(p)
}

func (o *jobOutput) begun() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.began
}

// oneLine keeps a text within a header.
func oneLine(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, text)
}
