package containers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/cgroupdir"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/jobs"
)

// Check looks for containers that are damaged, and for folders, layers, mounts and
// cgroups that belong to none; with repair it removes the latter. What is being
// made or removed meanwhile is left out.
func (c *Containers) Check(ctx context.Context, repair bool) ([]jobs.Finding, error) {
	k := &checkup{Containers: c, ctx: ctx, repair: repair}
	for _, ct := range c.index.all() {
		k.container(ct)
	}
	for _, id := range c.unownedLayers(ctx) {
		k.found("layer", id, "it was made for a container that is not there", "remove the layer", func() error { return c.graph.Remove(ctx, id) })
	}
	entries, err := c.fsys.ReadDir(c.dir)
	for _, e := range entries {
		path := filepath.Join(c.dir, e.Name())
		switch {
		case durable.IsLeftover(e.Name()):
			k.found("file", path, "a write or removal that was cut off has left it", "remove it", func() error { return os.RemoveAll(path) })
		case isID(e.Name()) && !c.index.knows(e.Name()):
			k.found("file", path, "it is the folder of a container that is not there", "remove it", func() error { return os.RemoveAll(path) })
		}
	}
	return k.findings, errors.Join(err, k.mounts(), k.cgroups())
}

// checkup is one run of Check.
type checkup struct {
	*Containers
	ctx      context.Context
	repair   bool
	findings []jobs.Finding
}

// found notes a finding that cure takes away.
func (k *checkup) found(kind, object, problem, action string, cure func() error) {
	f := jobs.Finding{Kind: kind, Object: object, Problem: problem, Action: "--repair would " + action}
	if k.repair {
		if err := cure(); err != nil {
			f.Action = "tried to " + action + ": " + err.Error()
		} else {
			f.Action, f.Repaired = "done: "+action, true
		}
	}
	k.findings = append(k.findings, f)
}

func (k *checkup) container(ct *Container) {
	s := ct.Snapshot()
	if s.State.Removing || s.State.Removed {
		return
	}
	problem := ""
	if s.Damaged {
		problem = s.State.Error
	} else if err := graphdriver.Check(k.ctx, k.graph, ct.id); err != nil {
		problem = err.Error()
	} else if !s.HostConfig.AutoRemove {
		if _, err := k.read(ct.id); err != nil {
			// What is known of it is better than what the disk has.
			k.found("container", ct.id, err.Error(), "write its record anew", func() error { return k.save(ct) })
			return
		}
	}
	if problem != "" && !ct.Snapshot().State.Removed {
		k.findings = append(k.findings, jobs.Finding{
			Kind: "container", Object: ct.id, Problem: problem, Action: "remove it: engine rm " + s.Name,
		})
	}
}

// mounts finds layers of containers that are mounted although nothing runs there.
func (k *checkup) mounts() error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	root := k.cfg.Root
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	home := filepath.Join(root, k.cfg.GraphDriver) + "/"
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		rest, ours := strings.CutPrefix(fields[4], home)
		id, _, _ := strings.Cut(rest, "/")
		if !ours || !isID(id) || k.busy(id) {
			continue
		}
		k.found("mount", fields[4], "no container runs there", "unmount it", func() error { return k.graph.Put(k.ctx, id) })
	}
	return err
}

// cgroups finds groups of containers that do not run.
func (k *checkup) cgroups() error {
	for _, dir := range cgroupdir.Children(k.cfg.CgroupParent) {
		id := filepath.Base(dir)
		if !isID(id) || k.busy(id) {
			continue
		}
		k.found("cgroup", dir, "no container runs there", "remove it", func() error {
			if err := k.runtime.Delete(k.ctx, id); err != nil {
				return err
			}
			if err := os.Remove(dir); err != nil && !os.IsNotExist(err) {
				return err
			}
			return nil
		})
	}
	return nil
}

// busy tells whether a container runs, or has its turn for something.
func (k *checkup) busy(id string) bool {
	ct, ok := k.index.get(id)
	if !ok {
		return k.index.knows(id)
	}
	return ct.Snapshot().State.Running || ct.Proc() != nil || len(ct.turn) > 0
}
