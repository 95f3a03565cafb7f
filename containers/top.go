package containers

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// top lists the processes of a running container with the host's ps.
func (c *Containers) top(ctx context.Context, _ *engine.Job, in jobs.TopIn) (out jobs.TopOut, err error) {
	ct, err := c.find(in.Container)
	if err != nil {
		return out, err
	}
	s := ct.Snapshot()
	switch {
	case s.State.Restarting:
		return out, errs.Conflict("Container %s is restarting, wait until the container is running", s.ID)
	case !s.State.Running:
		return out, errs.Conflict("Container %s is not running", s.ID)
	}
	pids, err := c.runtime.Pids(ctx, s.ID)
	if errors.Is(err, ErrNotRunning) || errors.Is(err, ErrAbsent) {
		return out, errs.Conflict("Container %s is not running", s.ID)
	}
	if err != nil {
		return out, err
	}
	args := strings.Fields(in.PsArgs)
	if len(args) == 0 {
		args = []string{"-ef"}
	}
	table, err := ps(ctx, args, pids)
	if err != nil {
		return out, err
	}
	if out.TopResponse, err = processes(table, pids); err != nil {
		return out, err
	}
	c.event(s, events.ActionTop)
	return out, nil
}

// ps runs ps for certain processes only, or for all where its arguments do not
// go together with that.
func ps(ctx context.Context, args []string, pids []int) ([]byte, error) {
	ids := make([]string, len(pids))
	for i, pid := range pids {
		ids[i] = strconv.Itoa(pid)
	}
	out, err := runPs(ctx, append(slices.Clone(args), "-q"+strings.Join(ids, ",")))
	if err != nil && !errors.Is(err, exec.ErrNotFound) && ctx.Err() == nil {
		out, err = runPs(ctx, args)
	}
	return out, err
}

func runPs(ctx context.Context, args []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "ps", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, errs.NotImplemented("the host has no program ps, which top needs (package procps): %w", err)
	case err != nil:
		line, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		if line == "" {
			line = err.Error()
		}
		return nil, errs.Invalid("ps: %s", strings.TrimPrefix(line, "ps: "))
	}
	return out, nil
}

// processes reads what ps printed and keeps the rows of the given processes.
func processes(table []byte, pids []int) (r container.TopResponse, err error) {
	lines := strings.Split(strings.TrimRight(string(table), "\n"), "\n")
	r.Titles = strings.Fields(lines[0])
	column := slices.Index(r.Titles, "PID")
	if column < 0 {
		return r, errs.Invalid("Couldn't find PID field in ps output")
	}
	r.Processes = [][]string{}
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) <= column {
			continue
		}
		pid, err := strconv.Atoi(fields[column])
		if err != nil || !slices.Contains(pids, pid) {
			continue
		}
		if last := len(r.Titles) - 1; len(fields) > last { // the command has spaces
			fields = append(fields[:last], strings.Join(fields[last:], " "))
		}
		r.Processes = append(r.Processes, fields)
	}
	return r, nil
}
