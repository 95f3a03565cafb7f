package images

import (
	"context"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// tag gives an image a further name. An image that had it before loses it.
func (i *Images) tag(_ context.Context, _ *engine.Job, in jobs.TagIn) (jobs.TagOut, error) {
	defer i.collectSoon()
	name, err := newName(in.Repository, in.Tag, "refusing to create a tag with a digest reference")
	if err != nil {
		return jobs.TagOut{}, err
	}
	img, err := i.find(in.Image)
	if err != nil {
		return jobs.TagOut{}, err
	}
	if _, err := i.store.SetName(img.ID, name, i.Clock.Now().UTC()); err != nil {
		return jobs.TagOut{}, err
	}
	i.tell(events.ActionTag, img.ID.String(), img, familiarName(name))
	return jobs.TagOut{}, nil
}
