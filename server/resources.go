package server

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

func (s *Server) postContainerUpdate(w *response, r *request) error {
	// As it comes: a policy that is not there is not a policy without a name.
	var body struct {
		container.Resources
		RestartPolicy *container.RestartPolicy
	}
	if err := decode(w, r, &body, true); err != nil {
		return err
	}
	in := jobs.ContainerUpdateIn{Container: r.vars["name"], Resources: &body.Resources}
	if p := body.RestartPolicy; p != nil && (p.Name != "" || p.MaximumRetryCount != 0) {
		in.RestartPolicy = p
	}
	if r.version.before(55) {
		res := in.Resources // could not be changed before
		res.BlkioWeightDevice, res.BlkioDeviceReadBps, res.BlkioDeviceWriteBps, res.BlkioDeviceReadIOps, res.BlkioDeviceWriteIOps = nil, nil, nil, nil, nil
	}
	out, err := jobs.ContainerUpdate.Run(settled(r), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out.UpdateResponse)
}

// statsFor makes the lines of the stats job what a version wants.
func statsFor(v apiVersion, w io.Writer) io.Writer {
	if !v.before(52) {
		return w
	}
	return &lines{each: func(line []byte) error {
		var r container.StatsResponse
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		r.OSType = ""
		text, err := json.Marshal(r)
		if err == nil {
			_, err = w.Write(append(text, '\n'))
		}
		return err
	}}
}

func (s *Server) getContainerStats(w *response, r *request) error {
	in := jobs.ContainerStatsIn{Container: r.vars["name"], Stream: !r.form.Has("stream") || r.flag("stream")}
	if !r.version.before(41) {
		in.OneShot = r.flag("one-shot")
	}
	if in.Stream && in.OneShot {
		return errs.Invalid("cannot have stream=true and one-shot=true")
	}
	_, err := jobs.ContainerStats.Run(r.Context(), s.eng, in, func(jobs.ContainerStatsOpen) (engine.Streams, error) {
		return engine.Streams{Stdout: statsFor(r.version, openStream(w, "application/json"))}, nil
	}, caller(r))
	if err != nil && w.began && !cancelled(err) {
		endProgress(w, err)
	}
	return err
}
