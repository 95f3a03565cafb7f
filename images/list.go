package images

import (
	"context"
	"path"
	"slices"
	"time"

	"github.com/moby/moby/api/types/image"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/filters"
	"github.com/jobengine/engine/internal/reference"
	"github.com/jobengine/engine/jobs"
)

// list answers from memory: agents poll it.
func (i *Images) list(_ context.Context, _ *engine.Job, in jobs.ImagesIn) (jobs.ImagesOut, error) {
	f, err := i.newFilter(in.Filters)
	if err != nil {
		return jobs.ImagesOut{}, err
	}
	snap := i.store.Snapshot()
	out := jobs.ImagesOut{Images: []image.Summary{}}
	var listed []*store.Image
	for _, img := range snap.Images {
		tags, digests, show := f.match(snap, img, in.All)
		if !show {
			continue
		}
		row := i.summary(img)
		row.RepoTags, row.RepoDigests = tags, digests
		out.Images = append(out.Images, row)
		listed = append(listed, img)
	}
	if in.SharedSize {
		shared := i.store.SharedBytes(listed)
		for n := range out.Images {
			out.Images[n].SharedSize = shared[listed[n].ID]
		}
	}
	return out, nil
}

// summary is the row of an image, but for its names.
func (i *Images) summary(img *store.Image) image.Summary {
	return image.Summary{
		ID:         img.ID.String(),
		ParentID:   img.Parent.String(),
		Created:    unixOf(img.Created()),
		Size:       img.SizeBytes,
		SharedSize: -1,
		Containers: int64(len(i.Containers.UsingImage(img.ID.String()))),
		Labels:     img.Config.Config.Labels,
	}
}

// unixOf gives 0 for no time.
func unixOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// filter is what an image must be to be listed.
type filter struct {
	args          filters.Args
	before, since time.Time
	until         time.Time
	dangling      bool // valid if args has it
}

func (i *Images) newFilter(args filters.Args) (*filter, error) {
	err := args.Check("before", "dangling", "label", "label!", "reference", "since", "until")
	if err != nil {
		return nil, err
	}
	f := &filter{args: args}
	if f.dangling, err = args.Bool("dangling", false); err != nil {
		return nil, err
	}
	for _, pattern := range args["reference"] {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, errs.Invalid("invalid filter 'reference=%s': %v", pattern, err)
		}
	}
	for _, ref := range args["before"] {
		img, err := i.find(ref)
		if err != nil {
			return nil, err
		}
		if f.before.IsZero() || img.Created().Before(f.before) {
			f.before = img.Created()
		}
	}
	for _, ref := range args["since"] {
		img, err := i.find(ref)
		if err != nil {
			return nil, err
		}
		if img.Created().After(f.since) {
			f.since = img.Created()
		}
	}
	for _, text := range args["until"] {
		t, err := filters.ParseTime(text, i.Clock.Now())
		if err != nil {
			return nil, err
		}
		if f.until.IsZero() || t.Before(f.until) {
			f.until = t
		}
	}
	return f, nil
}

// match tells whether an image is listed, and with which of its names.
func (f *filter) match(snap *store.Snapshot, img *store.Image, all bool) (tags, digests []string, show bool) {
	created := img.Created()
	switch {
	case f.args.Has("before") && !created.Before(f.before),
		f.args.Has("since") && !created.After(f.since),
		f.args.Has("until") && !created.Before(f.until):
		return nil, nil, false
	}
	labels := img.Config.Config.Labels
	if !f.args.Labels("label", labels) || f.args.Has("label!") && f.args.Labels("label!", labels) {
		return nil, nil, false
	}
	tags, digests = img.Tags, img.Digests
	if f.args.Has("reference") {
		tags, digests = f.named(tags), f.named(digests)
	}
	switch unnamed := len(tags)+len(digests) == 0; {
	case unnamed && (!all && (len(snap.Children(img.ID)) > 0 || isBeside(snap, img)) || f.args.Has("dangling") && !f.dangling || f.args.Has("reference")),
		!unnamed && f.dangling && len(tags) > 0:
		return nil, nil, false
	}
	return tags, digests, true
}

// named keeps the names that match one of the patterns.
func (f *filter) named(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		ref, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			return true
		}
		return !f.args.Any("reference", func(pattern string) bool {
			ok, err := reference.FamiliarMatch(pattern, ref)
			return err == nil && ok
		})
	})
}
