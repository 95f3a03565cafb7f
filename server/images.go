package server

import (
	"encoding/json"
	"net/http"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/filters"
	"github.com/jobengine/engine/jobs"
)

func (s *Server) getImages(w *response, r *request) error {
	in := jobs.ImagesIn{
		All:        r.flag("all"),
		Digests:    r.flag("digests"),
		SharedSize: r.flag("shared-size") && !r.version.before(42),
		Manifests:  r.flag("manifests"),
	}
	var err error
	if in.Filters, err = r.filters(); err != nil {
		return err
	}
	if name := r.get("filter"); name != "" && r.version.before(41) {
		if in.Filters == nil {
			in.Filters = filters.Args{}
		}
		in.Filters["reference"] = append(in.Filters["reference"], name)
	}
	out, err := jobs.Images.Run(r.Context(), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, imagesFor(r.version, out.Images))
}

func (s *Server) getImage(w *response, r *request) error {
	platform, err := r.platform("platform")
	if err != nil {
		return err
	}
	out, err := jobs.ImageInspect.Run(r.Context(), s.eng, jobs.ImageInspectIn{Image: r.vars["name"], Platform: platform}, caller(r))
	if err != nil {
		return err
	}
	v := r.version
	if strings.HasPrefix(r.UserAgent(), "docker-compose/1.") && !v.before(45) {
		v = 44 // whatever it asks for: it does not make a container anew without ContainerConfig
	}
	return writeJSON(w, http.StatusOK, imageFor(v, &out))
}

func (s *Server) getImageHistory(w *response, r *request) error {
	out, err := jobs.History.Run(r.Context(), s.eng, jobs.HistoryIn{Image: r.vars["name"]}, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, list(out.Items))
}

func (s *Server) postImageTag(w *response, r *request) error {
	in := jobs.TagIn{Image: r.vars["name"], Repository: r.get("repo"), Tag: r.get("tag")}
	if _, err := jobs.Tag.Run(settled(r), s.eng, in, caller(r)); err != nil {
		return err
	}
	return noContent(w, http.StatusCreated)
}

func (s *Server) deleteImage(w *response, r *request) error {
	in := jobs.ImageDeleteIn{Image: r.vars["name"], Force: r.flag("force"), NoPrune: r.flag("noprune")}
	out, err := jobs.ImageDelete.Run(settled(r), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, list(out.Items))
}

// postImageCreate is two verbs in one route: pull with fromImage, else import.
func (s *Server) postImageCreate(w *response, r *request) error {
	if image := r.get("fromImage"); image != "" {
		return s.pull(w, r, image)
	}
	if r.get("fromSrc") == "" {
		return errs.Invalid("fromImage or fromSrc: one of them is needed")
	}
	in := jobs.ImportIn{
		Source:     r.get("fromSrc"),
		Repository: r.get("repo"),
		Tag:        r.get("tag"),
		Message:    r.get("message"),
		Changes:    r.form["changes"],
		Platform:   r.get("platform"),
	}
	defer w.fullDuplex(r)()
	_, err := jobs.Import.Run(r.Context(), s.eng, in, func(jobs.ImportOpen) (engine.Streams, error) {
		return openProgress(w)
	}, caller(r), engine.Stdin(r.Body))
	return endProgress(w, err)
}

func (s *Server) pull(w *response, r *request, image string) error {
	in := jobs.PullIn{Image: image, Tag: r.get("tag"), Platform: r.get("platform")}
	in.All = in.Tag == "" && !hasTag(image)
	in.Auth = registryAuth(r)
	_, err := jobs.Pull.Run(r.Context(), s.eng, in, func(jobs.PullOpen) (engine.Streams, error) {
		return openProgress(w)
	}, caller(r))
	return endProgress(w, err)
}

// hasTag tells whether a reference says which image of a repository is meant.
func hasTag(ref string) bool {
	return strings.ContainsAny(ref[strings.LastIndexByte(ref, '/')+1:], ":@")
}

func (s *Server) postImageLoad(w *response, r *request) error {
	in := jobs.LoadIn{Quiet: r.flag("quiet")}
	for _, text := range r.form["platform"] {
		platform, err := platformFrom(text)
		if err != nil {
			return err
		}
		in.Platforms = append(in.Platforms, platform)
	}
	defer w.fullDuplex(r)()
	_, err := jobs.Load.Run(r.Context(), s.eng, in, func(jobs.LoadOpen) (engine.Streams, error) {
		// The headers go with the first message, as dockerd's do: skopeo takes an answer for the
		// end and sends no more of the archive.
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		return engine.Streams{Stdout: flusher{w}}, nil
	}, caller(r), engine.Stdin(r.Body))
	return endProgress(w, err)
}

// platform reads a platform as the JSON object of the OCI and returns it as
// os/arch[/variant]; "" is unset.
func (r *request) platform(key string) (string, error) {
	text := r.get(key)
	if text == "" {
		return "", nil
	}
	return platformFrom(text)
}

func platformFrom(text string) (string, error) {
	var p ocispec.Platform
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return "", errs.Invalid("invalid value for platform: %w", err)
	}
	if p.OS == "" || p.Architecture == "" {
		return "", errs.Invalid("invalid value for platform: os and architecture are needed")
	}
	if p.Variant == "" {
		return p.OS + "/" + p.Architecture, nil
	}
	return p.OS + "/" + p.Architecture + "/" + p.Variant, nil
}
