package images

import (
	"context"
	"slices"

	"github.com/moby/moby/api/types/image"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// history tells the steps that an image was made in. Steps of parents that are
// not here as images have no id.
func (i *Images) history(_ context.Context, _ *engine.Job, in jobs.HistoryIn) (jobs.HistoryOut, error) {
	img, err := i.findFor(in.Image, in.Platform)
	if err != nil {
		return jobs.HistoryOut{}, err
	}
	items := []image.HistoryResponseItem{}
	layer := 0
	for _, h := range img.Config.History {
		item := image.HistoryResponseItem{ID: "<missing>", CreatedBy: h.CreatedBy, Comment: h.Comment}
		if h.Created != nil {
			item.Created = unixOf(*h.Created)
		}
		if !h.EmptyLayer {
			if layer == len(img.Chain) {
				return jobs.HistoryOut{}, errs.DataLoss("image %s has more steps with files in its history than layers", img.ID)
			}
			item.Size = i.store.LayerSize(img.Chain[layer])
			layer++
		}
		items = append(items, item)
	}
	slices.Reverse(items)
	snap := i.store.Snapshot()
	for n := range items {
		if img == nil {
			break
		}
		items[n].ID = img.ID.String()
		if len(img.Tags) > 0 {
			items[n].Tags = img.Tags
		}
		img = snap.ByID(img.Parent)
	}
	return jobs.HistoryOut{Items: items}, nil
}
