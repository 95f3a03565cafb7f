package containers

import (
	"context"
	"io"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// commit makes an image of what a container has changed.
func (c *Containers) commit(ctx context.Context, _ *engine.Job, in jobs.CommitIn) (jobs.CommitOut, error) {
	none := jobs.CommitOut{}
	ct, err := c.find(in.Container)
	if err != nil {
		return none, err
	}
	s := ct.Snapshot()
	switch {
	case s.State.Dead:
		return none, errs.Conflict("You cannot commit container %s which is Dead", s.ID)
	case s.State.Removing:
		return none, errs.Conflict("You cannot commit container %s which is being removed", s.ID)
	}
	if s.State.Running && !s.State.Paused && !in.NoPause {
		// One that ended or was paused meanwhile holds still, too.
		switch err := c.freeze(ctx, ct, true); {
		case err == nil:
			defer c.thawAfter(context.WithoutCancel(ctx), ct)
		case !errdefs.IsConflict(err):
			return none, err
		}
	}
	diff, err := c.graph.Diff(ctx, s.ID)
	if err != nil {
		return none, err
	}
	defer diff.Close()
	id, name, err := c.images.Commit(ctx, CommitSpec{
		ImageID: s.ImageID, Container: s.Config, Config: in.Config, Changes: in.Changes,
		Author: in.Author, Comment: in.Comment, Repository: in.Repository, Tag: in.Tag,
	}, whole{diff, ct})
	if err != nil {
		return none, err
	}
	c.event(s, events.ActionCommit, "comment", in.Comment, "imageID", id, "imageRef", name)
	return jobs.CommitOut{ID: id}, nil
}

func (c *Containers) thawAfter(ctx context.Context, ct *Container) {
	if err := c.thaw(ctx, ct); err != nil && !errdefs.IsConflict(err) { // it may have been ended, or unpaused by somebody
		c.log.Errorf("container %s was paused for a commit and can't be unpaused: %v", ct.id, err)
	}
}

// whole reads a container's files and ends well only if the container is still
// there: what is being removed reads as if its files had never been.
type whole struct {
	io.Reader
	ct *Container
}

func (w whole) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err == io.EOF {
		if gone := w.ct.stillWhole(); gone != nil {
			return n, gone
		}
	}
	return n, err
}

func (ct *Container) stillWhole() error {
	if s := ct.Snapshot().State; s.Removing || s.Removed {
		return errs.Conflict("container %s was removed meanwhile", ct.id)
	}
	return nil
}
