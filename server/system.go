package server

import (
	"io"
	"net/http"
	"strings"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// caller tells the job who asked.
func caller(r *request) engine.RunOption {
	if p := peerFrom(r.Request); p != nil {
		return engine.Caller(p.caller)
	}
	return engine.Caller("http")
}

// ping answers GET and HEAD: clients learn from the headers what is here.
func (s *Server) ping(w *response, r *request) error {
	h := w.Header()
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate")
	h.Set("Pragma", "no-cache")
	h.Set("Builder-Version", "1") // no BuildKit
	h.Set("Swarm", "inactive")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if r.Method == http.MethodHead {
		h.Set("Content-Length", "0")
		return noContent(w, http.StatusOK)
	}
	io.WriteString(w, "OK")
	return nil
}

func (s *Server) getVersion(w *response, r *request) error {
	out, err := jobs.Version.Run(r.Context(), s.eng, jobs.VersionIn{}, caller(r))
	if err != nil {
		return err
	}
	out.APIVersion, out.MinAPIVersion = MaxAPIVersion, s.oldest.String()
	for _, c := range out.Components {
		if c.Name == "Engine" && c.Details != nil {
			c.Details["ApiVersion"], c.Details["MinAPIVersion"] = MaxAPIVersion, s.oldest.String()
		}
	}
	return writeJSON(w, http.StatusOK, out.VersionResponse)
}

func (s *Server) getInfo(w *response, r *request) error {
	out, err := jobs.Info.Run(r.Context(), s.eng, jobs.InfoIn{}, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, infoFor(r.version, &out.Info))
}

func (s *Server) getEvents(w *response, r *request) error {
	in := jobs.EventsIn{}
	var err error
	if in.Since, err = r.moment("since"); err != nil {
		return err
	}
	if in.Until, err = r.moment("until"); err != nil {
		return err
	}
	if in.Filters, err = r.filters(); err != nil {
		return err
	}
	_, err = jobs.Events.Run(r.Context(), s.eng, in, func(jobs.EventsOpen) (engine.Streams, error) {
		kind := eventsType(r)
		return engine.Streams{Stdout: eventsFor(r.version, kind, openStream(w, kind))}, nil
	}, caller(r))
	if err != nil && w.began && !cancelled(err) {
		endProgress(w, err) // and then the stream breaks off: a client must not take it for the end
	}
	return err
}

// eventsType is the content type of a stream of events. Since 1.52 the client
// may choose.
func eventsType(r *request) string {
	if r.version.before(52) {
		return "application/json"
	}
	for _, accept := range r.Header.Values("Accept") {
		for kind := range strings.SplitSeq(accept, ",") {
			kind, _, _ = strings.Cut(kind, ";")
			switch kind = strings.TrimSpace(kind); kind {
			case "application/jsonl", "application/x-ndjson", "application/json-seq":
				return kind
			}
		}
	}
	return "application/jsonl"
}
