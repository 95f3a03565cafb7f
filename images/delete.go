package images

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/image"
	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/reference"
	"github.com/jobengine/engine/jobs"
)

// delete takes a name away, and removes the image with its last one. The rules
// and the words are Docker's:
//
//   - by name: the name goes; if it was the last one, the image goes too, unless
//     containers or other images need it. The last name of an image that
//     containers use needs force.
//   - by id: an image with several names needs force, one that a stopped
//     container uses needs force, one that a running container uses stays.
//   - unnamed parents that nothing else needs go along, unless NoPrune.
func (i *Images) delete(ctx context.Context, _ *engine.Job, in jobs.ImageDeleteIn) (jobs.ImageDeleteOut, error) {
	defer i.collectSoon()
	d := deletion{Images: i, items: []image.DeleteResponse{}}
	err := store.ErrChanged
	for errors.Is(err, store.ErrChanged) && ctx.Err() == nil {
		err = d.run(in)
	}
	if err != nil {
		return jobs.ImageDeleteOut{}, err
	}
	if err := i.store.Reclaim(ctx); err != nil {
		i.Log.Warnf("images: reclaim layers: %v", err)
	}
	return jobs.ImageDeleteOut{Items: d.items}, nil
}

func (d *deletion) run(in jobs.ImageDeleteIn) error {
	img, err := d.find(in.Image)
	if err != nil {
		return err
	}
	if len(in.Platforms) > 0 {
		return d.byPlatform(img, in)
	}
	return d.whole(img, in)
}

func (d *deletion) whole(img *store.Image, in jobs.ImageDeleteIn) error {
	if isIDPrefix(img.ID, in.Image) {
		return d.byID(img, in)
	}
	return d.byName(img, in)
}

// byPlatform removes what a name is for some platforms. All of them are looked
// for before anything goes. With the main image its name goes.
func (d *deletion) byPlatform(img *store.Image, in jobs.ImageDeleteIn) error {
	wanted, err := parsePlatforms(in.Platforms)
	if err != nil {
		return err
	}
	snap := d.store.Snapshot()
	main := false
	var others []*store.Image
	for n := range wanted {
		one, err := forPlatform(snap, img, in.Image, &wanted[n])
		switch {
		case err != nil:
			return err
		case one.ID == img.ID:
			main = true
		case !slices.Contains(others, one):
			if c := d.conflict(one, in.Force, true); c != nil {
				return c.error()
			}
			others = append(others, one)
		}
	}
	for _, one := range others {
		if err := d.remove(one, !in.NoPrune); err != nil {
			return err
		}
	}
	if !main {
		return nil
	}
	return d.whole(img, in)
}

// deletion is one run of delete.
type deletion struct {
	*Images
	items []image.DeleteResponse
}

func (d *deletion) byName(img *store.Image, in jobs.ImageDeleteIn) error {
	ref, err := reference.ParseNormalizedNamed(in.Image)
	if err != nil {
		return errs.Invalid("%v", err)
	}
	name := canonical(ref)
	if !in.Force && isSingle(img.Names) {
		if uses := d.Containers.UsingImage(img.ID.String()); len(uses) > 0 {
			return errs.Conflict("conflict: unable to remove repository reference %q (must force) - container %s is using its referenced image %s",
				in.Image, shortID(uses[0].ID), shortID(img.ID.String()))
		}
	}
	gone := []string{name}
	left := slices.DeleteFunc(slices.Clone(img.Names), func(n string) bool { return n == name })
	// Digests of a repository without a tag left are names that nobody gave.
	repo := repositoryOf(name)
	inRepo := func(n string) bool { return repositoryOf(n) == repo }
	if isTag(name) && !slices.ContainsFunc(left, func(n string) bool { return inRepo(n) && isTag(n) }) {
		gone = append(gone, slices.DeleteFunc(slices.Clone(left), func(n string) bool { return !inRepo(n) })...)
		left = slices.DeleteFunc(left, inRepo)
	}
	if len(left) == 0 && d.conflict(img, in.Force, true) == nil {
		// The image and its names go in one step.
		return d.remove(img, !in.NoPrune)
	}
	if err := d.store.RemoveNames(img, gone...); err != nil {
		return err
	}
	for _, n := range gone {
		d.untagged(img, n)
	}
	return nil
}

func (d *deletion) byID(img *store.Image, in jobs.ImageDeleteIn) error {
	if c := d.conflict(img, in.Force, isSingle(img.Names)); c != nil {
		return c.error()
	}
	return d.remove(img, !in.NoPrune)
}

func (d *deletion) untagged(img *store.Image, name string) {
	d.items = append(d.items, image.DeleteResponse{Untagged: familiarName(name)})
	d.tell(events.ActionUnTag, img.ID.String(), img, img.ID.String())
}

// remove removes an image, in whose way nothing is, with the names it has, and
// then its unnamed parents.
func (d *deletion) remove(img *store.Image, prune bool) error {
	id := img.ID.String()
	layers, err := d.store.Remove(img, len(d.Containers.UsingImage(id)) > 0)
	if err != nil {
		return err
	}
	for _, name := range img.Names {
		d.untagged(img, name)
	}
	d.tell(events.ActionDelete, id, nil, id)
	d.items = append(d.items, image.DeleteResponse{Deleted: id})
	for _, chain := range layers {
		d.items = append(d.items, image.DeleteResponse{Deleted: chain.String()})
	}
	d.removeBeside(img)
	if !prune {
		return nil
	}
	// The client got what was asked for: from here on nothing is an error.
	parent := d.store.Snapshot().ByID(img.Parent)
	if parent == nil || d.conflict(parent, false, false) != nil {
		return nil
	}
	if err := d.remove(parent, true); err != nil && !errors.Is(err, store.ErrChanged) {
		d.Log.Warnf("images: remove %s, the unnamed parent of %s: %v", parent.ID, id, err)
	}
	return nil
}

// removeBeside removes what is left of an image that is gone: it for other
// platforms, unless something needs that.
func (d *deletion) removeBeside(img *store.Image) {
	snap := d.store.Snapshot()
	for _, other := range snap.Images {
		if !slices.Contains(other.Beside, img.ID) || len(other.Names) > 0 || len(snap.Mains(other)) > 0 || d.conflict(other, false, false) != nil {
			continue
		}
		if err := d.remove(other, false); err != nil && !errors.Is(err, store.ErrChanged) {
			d.Log.Warnf("images: remove %s, another platform of %s: %v", other.ID, img.ID, err)
		}
	}
}

// obstacle is why an image cannot be removed.
type obstacle struct {
	id     digest.Digest
	force  string // whether force would help
	reason string
}

func (o *obstacle) error() error {
	return errs.Conflict("conflict: unable to delete %s (%s) - %s", shortID(o.id.String()), o.force, o.reason)
}

// conflict gives what is in the way of removing an image, nil for nothing.
// nameGoes says that its only name is to go with it.
func (d *deletion) conflict(img *store.Image, force, nameGoes bool) *obstacle {
	const hard, soft = "cannot be forced", "must be forced"
	if len(d.store.Snapshot().Children(img.ID)) > 0 {
		return &obstacle{img.ID, hard, "image has dependent child images"}
	}
	uses := d.Containers.UsingImage(img.ID.String())
	for _, use := range uses {
		if use.Running {
			return &obstacle{img.ID, hard, "image is being used by running container " + shortID(use.ID)}
		}
	}
	if force {
		return nil
	}
	if len(img.Names) > 0 && !nameGoes {
		return &obstacle{img.ID, soft, "image is referenced in multiple repositories"}
	}
	if len(uses) > 0 {
		return &obstacle{img.ID, soft, "image is being used by stopped container " + shortID(uses[0].ID)}
	}
	return nil
}

// isSingle tells whether the names of an image are one at most: one tag, with
// the digests of the same repository.
func isSingle(names []string) bool {
	if len(names) <= 1 {
		return true
	}
	tag, repo := "", ""
	for _, name := range names {
		switch {
		case repo == "":
			repo = repositoryOf(name)
		case repo != repositoryOf(name):
			return false
		}
		if isTag(name) {
			if tag != "" {
				return false
			}
			tag = name
		}
	}
	return true
}

// isTag tells a name with a tag from one with a digest.
func isTag(name string) bool { return !strings.Contains(name, "@") }

// repositoryOf is a kept name without its tag or digest.
func repositoryOf(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	return name
}
