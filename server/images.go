package server

import (
	"net/http"
	"strings"

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
		Manifests:  r.flag("manifests") && !r.version.before(47),
	}
	if r.flag("identity") && !r.version.before(54) && !in.Manifests {
		return errs.Invalid("conflicting options: identity requires manifests=1")
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
	platform, err := r.platform("platform", 49)
	if err != nil {
		return err
	}
	if platform != "" && r.flag("manifests") {
		return errs.Invalid("conflicting options: manifests and platform options cannot both be set")
	}
	v := r.version
	if strings.HasPrefix(r.UserAgent(), "docker-compose/1.") && !v.before(45) {
		v = 44 // whatever it asks for: it does not make a container anew without ContainerConfig
	}
	in := jobs.ImageInspectIn{Image: r.vars["name"], Platform: platform, Builder: v.before(45)}
	out, err := jobs.ImageInspect.Run(r.Context(), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, imageFor(v, &out))
}

func (s *Server) getImageHistory(w *response, r *request) error {
	platform, err := r.platform("platform", 48)
	if err != nil {
		return err
	}
	out, err := jobs.History.Run(r.Context(), s.eng, jobs.HistoryIn{Image: r.vars["name"], Platform: platform}, caller(r))
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
	var err error
	if in.Platforms, err = r.platforms("platforms", 50); err != nil {
		return err
	}
	out, err := jobs.ImageDelete.Run(settled(r), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, list(out.Items))
}

// postImageCreate is two verbs in one route: pull with fromImage, else import.
func (s *Server) postImageCreate(w *response, r *request) error {
	platform := ""
	if !r.version.before(32) {
		platform = r.get("platform")
	}
	if image := r.get("fromImage"); image != "" {
		// Old clients end a name with a colon when they mean all of its tags.
		return s.pull(w, r, strings.TrimSuffix(image, ":"), platform)
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
		Platform:   platform,
	}
	defer w.fullDuplex(r)()
	_, err := jobs.Import.Run(r.Context(), s.eng, in, func(jobs.ImportOpen) (engine.Streams, error) {
		return openProgress(w)
	}, caller(r), engine.Stdin(r.Body))
	return endProgress(w, err)
}

func (s *Server) pull(w *response, r *request, image, platform string) error {
	in := jobs.PullIn{Image: image, Tag: r.get("tag"), Platform: platform}
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
	in := jobs.LoadIn{Quiet: r.flag("quiet") || !r.form.Has("quiet")}
	var err error
	if in.Platforms, err = r.archivePlatforms(); err != nil {
		return err
	}
	defer w.fullDuplex(r)()
	_, err = jobs.Load.Run(r.Context(), s.eng, in, func(jobs.LoadOpen) (engine.Streams, error) {
		// The headers go with the first message, as dockerd's do: skopeo takes an answer for the
		// end and sends no more of the archive.
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		return engine.Streams{Stdout: flusher{w}}, nil
	}, caller(r), engine.Stdin(r.Body))
	return endProgress(w, err)
}
