package images

import (
	"context"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/image"
	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/errs"
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
	img, err := i.find(in.Image)
	if err != nil {
		return jobs.ImageDeleteOut{}, err
	}
	d := deletion{Images: i, items: []image.DeleteResponse{}}
	if isIDPrefix(img.ID, in.Image) {
		err = d.byID(img, in)
	} else {
		err = d.byName(img, in)
	}
	if err != nil {
		return jobs.ImageDeleteOut{}, err
	}
	if err := i.store.Reclaim(ctx); err != nil {
		i.Log.Warnf("images: reclaim layers: %v", err)
	}
	return jobs.ImageDeleteOut{Items: d.items}, nil
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
	left, err := d.untag(img, name)
	if err != nil {
		return err
	}
	// Digests of a repository without a tag left are names that nobody gave.
	repo := repositoryOf(name)
	if !strings.Contains(name, "@") && !slices.ContainsFunc(left, func(n string) bool { return repositoryOf(n) == repo && !strings.Contains(n, "@") }) {
		for _, n := range slices.Clone(left) {
			if repositoryOf(n) == repo {
				if left, err = d.untag(img, n); err != nil {
					return err
				}
			}
		}
	}
	if len(left) > 0 {
		return nil
	}
	return d.remove(img.ID, in.Force, !in.NoPrune, true)
}

func (d *deletion) byID(img *store.Image, in jobs.ImageDeleteIn) error {
	// The one name, if there is but one, is no obstacle. What is one is found
	// before anything is changed.
	if isSingle(img.Names) {
		if c := d.conflict(img, in.Force, true); c != nil {
			return c.error()
		}
	}
	return d.remove(img.ID, in.Force, !in.NoPrune, false)
}

// untag takes one name away and gives those that are left.
func (d *deletion) untag(img *store.Image, name string) ([]string, error) {
	id, err := d.store.RemoveName(name)
	if err != nil {
		return nil, err
	}
	d.untagged(img, name)
	now := d.store.Snapshot().ByID(id)
	if now == nil {
		return nil, nil
	}
	return now.Names, nil
}

func (d *deletion) untagged(img *store.Image, name string) {
	d.items = append(d.items, image.DeleteResponse{Untagged: familiarName(name)})
	d.tell(events.ActionUnTag, img.ID.String(), img, img.ID.String())
}

// remove removes an image with the names it has left. When it is quiet, an
// obstacle is no error: the caller got what was asked for.
func (d *deletion) remove(id digest.Digest, force, prune, quiet bool) error {
	img := d.store.Snapshot().ByID(id)
	if img == nil {
		return nil // somebody else was faster
	}
	single := isSingle(img.Names)
	if c := d.conflict(img, force, single && !quiet); c != nil {
		if quiet {
			return nil
		}
		return c.error()
	}
	used := len(d.Containers.UsingImage(id.String())) > 0
	layers, err := d.store.Remove(id, used)
	if err != nil {
		return err
	}
	for _, name := range img.Names {
		d.untagged(img, name)
	}
	d.tell(events.ActionDelete, id.String(), nil, id.String())
	d.items = append(d.items, image.DeleteResponse{Deleted: id.String()})
	for _, chain := range layers {
		d.items = append(d.items, image.DeleteResponse{Deleted: chain.String()})
	}
	if !prune || img.Parent == "" {
		return nil
	}
	return d.remove(img.Parent, false, true, true)
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
		if !strings.Contains(name, "@") {
			if tag != "" {
				return false
			}
			tag = name
		}
	}
	return true
}

// repositoryOf is a kept name without its tag or digest.
func repositoryOf(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	return name
}
