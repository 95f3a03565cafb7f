package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/moby/moby/api/types/registry"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

func (s *Server) postImagePush(w *response, r *request) error {
	in := jobs.PushIn{Image: r.vars["name"], Tag: r.get("tag"), Auth: registryAuth(r)}
	var err error
	if in.Platform, err = r.platform("platform", 46); err != nil {
		return err
	}
	if r.Header.Get(registry.AuthHeader) == "" {
		// Clients of old send the credentials as body.
		in.Auth = &registry.AuthConfig{}
		data, err := readBody(w, r)
		if err == nil && len(data) == 0 {
			err = io.EOF
		}
		if err == nil && json.Unmarshal(data, in.Auth) != nil {
			err = errors.New("it is no JSON object") // and not shown: it may be a password
		}
		if err != nil {
			return errs.Invalid("Bad parameters and missing X-Registry-Auth: %w", err)
		}
	}
	_, err = jobs.Push.Run(r.Context(), s.eng, in, func(jobs.PushOpen) (engine.Streams, error) {
		return openProgress(w)
	}, caller(r))
	return endProgress(w, err)
}

func (s *Server) postAuth(w *response, r *request) error {
	var in jobs.AuthIn
	if err := decode(w, r, &in.Auth, true); err != nil {
		return err
	}
	out, err := jobs.Auth.Run(r.Context(), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, struct {
		IdentityToken string
		Status        string
	}{out.IdentityToken, out.Status})
}

func (s *Server) getImagesSearch(w *response, r *request) error {
	in := jobs.SearchIn{Term: r.get("term"), Limit: 25, Auth: registryAuth(r)}
	var err error
	if text := r.get("limit"); text != "" {
		if in.Limit, err = strconv.Atoi(text); err != nil {
			return errs.Invalid("invalid limit specified: %w", err)
		}
	}
	if in.Filters, err = r.filters(); err != nil {
		return err
	}
	out, err := jobs.Search.Run(r.Context(), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, list(out.Results))
}

func (s *Server) getDistribution(w *response, r *request) error {
	out, err := jobs.DistributionInspect.Run(r.Context(), s.eng, jobs.DistributionInspectIn{Image: r.vars["name"], Auth: registryAuth(r)}, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out.DistributionInspect)
}

// getManifest is a route of our own: what a registry has under a name, byte by byte.
func (s *Server) getManifest(w *response, r *request) error {
	out, err := jobs.ManifestInspect.Run(r.Context(), s.eng, jobs.ManifestInspectIn{Image: r.vars["name"], Auth: registryAuth(r)}, caller(r))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", out.MediaType)
	w.Header().Set("Docker-Content-Digest", out.Digest)
	w.Write(out.Manifest)
	return nil
}
