package containers

import (
	"bufio"
	"context"
	"errors"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/archive"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// export writes the whole tree of a container as a tar. What is mounted in the
// container is not part of it.
func (c *Containers) export(ctx context.Context, job *engine.StreamJob[jobs.ExportOpen], in jobs.ExportIn) (_ jobs.ExportOut, err error) {
	none := jobs.ExportOut{}
	ct, err := c.find(in.Container)
	if err != nil {
		return none, err
	}
	switch s := ct.Snapshot(); {
	case s.State.Dead:
		return none, errs.Conflict("You cannot export container %s which is Dead", s.ID)
	case s.State.Removing:
		return none, errs.Conflict("You cannot export container %s which is being removed", s.ID)
	}
	dir, err := c.graph.Get(ctx, ct.id)
	if err != nil {
		return none, err
	}
	defer func() { err = errors.Join(err, c.graph.Put(context.WithoutCancel(ctx), ct.id)) }()
	if err := job.Open(jobs.ExportOpen{}); err != nil {
		return none, err
	}
	w := bufio.NewWriterSize(job.Stdout, 256<<10)
	if err := archive.Pack(ctx, w, dir, archive.PackOptions{}); err != nil {
		return none, err
	}
	if err := ct.stillWhole(); err != nil {
		return none, err
	}
	return none, w.Flush()
}
