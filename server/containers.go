package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/phase"
	"github.com/jobengine/engine/jobs"
)

// settled is the context of a job that changes something: once asked for it
// is done, whether or not the client stays for the answer.
func settled(r *request) context.Context { return context.WithoutCancel(r.Context()) }

func (s *Server) getContainers(w *response, r *request) error {
	in := jobs.ContainersIn{All: r.flag("all"), Size: r.flag("size")}
	var err error
	if in.Limit, err = r.number("limit", 0); err != nil {
		return err
	}
	if in.Filters, err = r.filters(); err != nil {
		return err
	}
	out, err := jobs.Containers.Run(r.Context(), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, containersFor(r.version, out.Containers))
}

func (s *Server) postContainerCreate(w *response, r *request) error {
	phase.Mark("daemon", "create arrives")
	in, warnings, err := decodeCreate(w, r)
	if err != nil {
		return err
	}
	out, err := jobs.Create.Run(settled(r), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	out.Warnings = list(append(out.Warnings, warnings...))
	return writeJSON(w, http.StatusCreated, out.CreateResponse)
}

func (s *Server) getContainer(w *response, r *request) error {
	in := jobs.ContainerInspectIn{Container: r.vars["name"], Size: r.flag("size")}
	out, err := jobs.ContainerInspect.Run(r.Context(), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, containerFor(r.version, &out))
}

func (s *Server) getContainerTop(w *response, r *request) error {
	in := jobs.TopIn{Container: r.vars["name"], PsArgs: r.get("ps_args")}
	out, err := jobs.Top.Run(r.Context(), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out.TopResponse)
}

func (s *Server) postContainerStart(w *response, r *request) error {
	// A host configuration at start is a thing of API versions before 1.24.
	// Some clients send "{}" or "null" all the same.
	if r.ContentLength > 7 || r.ContentLength == -1 {
		return errs.Invalid("starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24")
	}
	if r.get("checkpoint") != "" {
		return errs.NotImplemented("checkpoint: starting from a checkpoint is not available")
	}
	_, err := jobs.Start.Run(settled(r), s.eng, jobs.StartIn{Container: r.vars["name"]}, caller(r))
	if err != nil {
		return err
	}
	return noContent(w, http.StatusNoContent)
}

// stopping reads what stop and restart have in common.
func stopping(r *request) (signal string, timeout *int, err error) {
	if !r.version.before(42) {
		signal = r.get("signal")
	}
	if r.get("t") != "" {
		n, err := r.number("t", 0)
		if err != nil {
			return "", nil, err
		}
		timeout = &n
	}
	return signal, timeout, nil
}

func (s *Server) postContainerStop(w *response, r *request) error {
	signal, timeout, err := stopping(r)
	if err != nil {
		return err
	}
	in := jobs.StopIn{Container: r.vars["name"], Signal: signal, Timeout: timeout}
	if _, err := jobs.Stop.Run(settled(r), s.eng, in, caller(r)); err != nil {
		return err
	}
	return noContent(w, http.StatusNoContent)
}

func (s *Server) postContainerRestart(w *response, r *request) error {
	signal, timeout, err := stopping(r)
	if err != nil {
		return err
	}
	in := jobs.RestartIn{Container: r.vars["name"], Signal: signal, Timeout: timeout}
	if _, err := jobs.Restart.Run(settled(r), s.eng, in, caller(r)); err != nil {
		return err
	}
	return noContent(w, http.StatusNoContent)
}

func (s *Server) postContainerKill(w *response, r *request) error {
	in := jobs.KillIn{Container: r.vars["name"], Signal: r.get("signal")}
	if _, err := jobs.Kill.Run(settled(r), s.eng, in, caller(r)); err != nil {
		return err
	}
	return noContent(w, http.StatusNoContent)
}

func (s *Server) postContainerPause(w *response, r *request) error {
	if _, err := jobs.Pause.Run(settled(r), s.eng, jobs.PauseIn{Container: r.vars["name"]}, caller(r)); err != nil {
		return err
	}
	return noContent(w, http.StatusNoContent)
}

func (s *Server) postContainerUnpause(w *response, r *request) error {
	if _, err := jobs.Unpause.Run(settled(r), s.eng, jobs.UnpauseIn{Container: r.vars["name"]}, caller(r)); err != nil {
		return err
	}
	return noContent(w, http.StatusNoContent)
}

func (s *Server) postContainerRename(w *response, r *request) error {
	in := jobs.ContainerRenameIn{Container: r.vars["name"], Name: r.get("name")}
	if _, err := jobs.ContainerRename.Run(settled(r), s.eng, in, caller(r)); err != nil {
		return err
	}
	return noContent(w, http.StatusNoContent)
}

func (s *Server) postContainerResize(w *response, r *request) error {
	in := jobs.ResizeIn{Container: r.vars["name"]}
	var err error
	if in.Height, err = r.size("h"); err != nil {
		return err
	}
	if in.Width, err = r.size("w"); err != nil {
		return err
	}
	if _, err := jobs.Resize.Run(settled(r), s.eng, in, caller(r)); err != nil {
		return err
	}
	return noContent(w, http.StatusOK)
}

func (s *Server) deleteContainer(w *response, r *request) error {
	in := jobs.RmIn{
		Container:     r.vars["name"],
		Force:         r.flag("force"),
		RemoveVolumes: r.flag("v"),
		RemoveLink:    r.flag("link"),
	}
	if _, err := jobs.Rm.Run(settled(r), s.eng, in, caller(r)); err != nil {
		return err
	}
	return noContent(w, http.StatusNoContent)
}

// postContainerWait sends its headers as soon as the container is waited for,
// so that a client can start it and be sure that no exit is missed.
func (s *Server) postContainerWait(w *response, r *request) error {
	in := jobs.WaitIn{Container: r.vars["name"]}
	if !r.version.before(30) {
		in.Condition = container.WaitCondition(r.get("condition"))
		switch in.Condition {
		case "", container.WaitConditionNotRunning, container.WaitConditionNextExit, container.WaitConditionRemoved:
		default:
			return errs.Invalid("invalid condition: %q", string(in.Condition))
		}
	}
	out, err := jobs.Wait.Run(r.Context(), s.eng, in, func(jobs.WaitOpen) (engine.Streams, error) {
		if !r.version.before(30) {
			openStream(w, "application/json")
		}
		return engine.Streams{}, nil
	}, caller(r))
	if err != nil {
		if !w.began || cancelled(err) {
			return err
		}
		out.StatusCode = 125
		out.Error = &container.WaitExitError{Message: err.Error()}
	}
	if !w.began {
		return writeJSON(w, http.StatusOK, waitFor(r.version, out.WaitResponse))
	}
	return writeTail(w, waitFor(r.version, out.WaitResponse))
}

func (s *Server) postContainerAttach(w *response, r *request) error {
	in := jobs.AttachIn{
		Container:  r.vars["name"],
		Logs:       r.flag("logs"),
		Stream:     r.flag("stream"),
		Stdin:      r.flag("stdin"),
		Stdout:     r.flag("stdout"),
		Stderr:     r.flag("stderr"),
		DetachKeys: r.get("detachKeys"),
	}
	h, ctx := newHijack(w, r)
	_, err := jobs.Attach.Run(ctx, s.eng, in, func(o jobs.AttachOpen) (engine.Streams, error) {
		return h.open(o.Tty)
	}, caller(r))
	return h.finish(err)
}

func (s *Server) getContainerLogs(w *response, r *request) error {
	in := jobs.LogsIn{
		Container:  r.vars["name"],
		Stdout:     r.flag("stdout"),
		Stderr:     r.flag("stderr"),
		Follow:     r.flag("follow"),
		Timestamps: r.flag("timestamps"),
		Details:    r.flag("details"),
		Tail:       tail(r.get("tail")),
	}
	if !in.Stdout && !in.Stderr {
		return errs.Invalid("Bad parameters: you must choose at least one stream")
	}
	var err error
	if in.Since, err = r.moment("since"); err != nil {
		return err
	}
	if !r.version.before(35) {
		if in.Until, err = r.moment("until"); err != nil {
			return err
		}
	}
	var out logOutput
	_, err = jobs.Logs.Run(r.Context(), s.eng, in, func(o jobs.LogsOpen) (engine.Streams, error) {
		out = openLog(w, streamType(r.version, o.Tty), in.Follow)
		stdout, stderr, system := multiplex(out, o.Tty)
		out.system = system
		return engine.Streams{Stdout: stdout, Stderr: stderr}, nil
	}, caller(r))
	if !w.began {
		return err
	}
	if err != nil && !cancelled(err) {
		fmt.Fprintf(out.system, "Error grabbing logs: %s\n\n", err)
		err = nil
	}
	out.flush()
	return err
}

// logOutput is where a log goes: line by line while it is followed, else in
// larger pieces.
type logOutput struct {
	io.Writer
	flush  func() error
	system io.Writer
}

func openLog(w *response, contentType string, follow bool) logOutput {
	direct := openStream(w, contentType)
	if follow {
		return logOutput{Writer: direct, flush: func() error { return nil }}
	}
	buf := bufio.NewWriterSize(w, 32<<10)
	return logOutput{Writer: buf, flush: buf.Flush}
}

// tail is how many lines from the end; whatever is no number means all, as
// with docker.
func tail(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
}
