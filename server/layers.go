package server

import (
	"io"
	"net/http"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// What moves whole file systems: save, export, diff, commit.

// getImageArchive writes images as one tar: those of names, or the one of the path.
func (s *Server) getImageArchive(w *response, r *request) error {
	in := jobs.SaveIn{Images: r.form["names"]}
	if name := r.vars["name"]; name != "" {
		in.Images = []string{name}
	}
	var err error
	if in.Platforms, err = r.archivePlatforms(); err != nil {
		return err
	}
	_, err = jobs.Save.Run(r.Context(), s.eng, in, func(jobs.SaveOpen) (engine.Streams, error) {
		return openTar(w), nil
	}, caller(r))
	return err
}

func (s *Server) getContainerExport(w *response, r *request) error {
	_, err := jobs.Export.Run(r.Context(), s.eng, jobs.ExportIn{Container: r.vars["name"]}, func(jobs.ExportOpen) (engine.Streams, error) {
		return openTar(w), nil
	}, caller(r))
	return err
}

// openTar begins an answer that is a tar. It is written in large pieces, which
// need no flushing; an answer that fails in the middle has no end.
func openTar(w *response) engine.Streams {
	w.Header().Set("Content-Type", "application/x-tar")
	w.Flush()
	return engine.Streams{Stdout: struct{ io.Writer }{w}}
}

// getContainerChanges answers null where there are none, as docker does.
func (s *Server) getContainerChanges(w *response, r *request) error {
	out, err := jobs.ContainerChanges.Run(r.Context(), s.eng, jobs.ContainerChangesIn{Container: r.vars["name"]}, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out.Changes)
}

// postCommit makes an image of a container. The body may have a configuration in
// place of the container's own.
func (s *Server) postCommit(w *response, r *request) error {
	var body struct {
		*container.Config
		Cmd        words
		Entrypoint words
	}
	if err := decode(w, r, &body, false); err != nil {
		return err
	}
	if body.Config == nil && (body.Cmd != nil || body.Entrypoint != nil) {
		body.Config = new(container.Config)
	}
	if body.Config != nil {
		body.Config.Cmd, body.Config.Entrypoint = body.Cmd, body.Entrypoint
	}
	in := jobs.CommitIn{
		Container:  r.get("container"),
		Repository: r.get("repo"),
		Tag:        r.get("tag"),
		Author:     r.get("author"),
		Comment:    r.get("comment"),
		Changes:    r.form["changes"],
		Config:     body.Config,
		NoPause:    r.get("pause") != "" && !r.flag("pause"),
	}
	out, err := jobs.Commit.Run(settled(r), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, container.CommitResponse{ID: out.ID})
}
