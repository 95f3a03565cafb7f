package images

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/images/bundle"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/reference"
	"github.com/jobengine/engine/jobs"
)

// save writes images as an archive. Layers come out byte by byte as they came
// in. All that can be known to fail does so before Open; a layer whose files
// were changed behind our back shows while it is written, and what was written
// ends in the middle.
func (i *Images) save(ctx context.Context, job *engine.StreamJob[jobs.SaveOpen], in jobs.SaveIn) (jobs.SaveOut, error) {
	none := jobs.SaveOut{}
	picked, err := i.pick(in.Images)
	if err != nil {
		return none, err
	}
	wanted, err := parsePlatforms(in.Platforms)
	if err != nil {
		return none, err
	}
	var saved []bundle.Saved
	for _, p := range picked {
		images, err := i.platformsOf(p, wanted)
		if err != nil {
			return none, err
		}
		var main bundle.Saved
		for n, img := range images {
			lease, err := i.store.Lease(img)
			if err != nil {
				return none, err
			}
			defer lease.Release()
			one, err := i.savedImage(ctx, img, p.names)
			if err != nil {
				return none, err
			}
			if n == 0 {
				main = one
			} else {
				main.Others = append(main.Others, one)
			}
		}
		saved = append(saved, main)
	}
	if err := job.Open(jobs.SaveOpen{}); err != nil {
		return none, err
	}
	if err := bundle.Write(ctx, job.Stdout, saved); err != nil {
		if errdefs.IsDataLoss(err) { // the client only sees that the archive has no end
			i.Log.Errorf("images: save: %v", err)
		}
		return none, err
	}
	for _, p := range picked {
		id := p.image.ID.String()
		i.tell(events.ActionSave, id, p.image, id)
	}
	return none, nil
}

func (i *Images) savedImage(ctx context.Context, img *store.Image, names []string) (bundle.Saved, error) {
	config, err := i.store.RawConfig(img)
	if err != nil {
		return bundle.Saved{}, err
	}
	saved := bundle.Saved{Config: config, Created: img.Created(), Platform: platformOf(img), Names: names, Parent: img.Parent}
	for n, chain := range img.Chain {
		size, err := i.store.TarBytes(ctx, chain)
		if err != nil {
			return bundle.Saved{}, err
		}
		saved.Layers = append(saved.Layers, bundle.SavedLayer{
			DiffID: img.Config.RootFS.DiffIDs[n], Bytes: size,
			Write: func(ctx context.Context, w io.Writer) error { return i.store.WriteTar(ctx, w, chain) },
		})
	}
	return saved, nil
}

// pickedImage is an image that is to be saved under some of its names.
type pickedImage struct {
	image *store.Image
	asked string // how it was asked for
	names []string
}

// pick finds the images that are meant by names, each once. As in Docker a name
// without a tag is all tags of the repository, and an id brings no name along.
func (i *Images) pick(names []string) ([]pickedImage, error) {
	var list []pickedImage
	snap := i.store.Snapshot()
	add := func(img *store.Image, asked string, names ...string) error {
		if err := usable(img); err != nil {
			return err
		}
		at := slices.IndexFunc(list, func(p pickedImage) bool { return p.image.ID == img.ID })
		if at < 0 {
			at = len(list)
			list = append(list, pickedImage{image: img, asked: asked})
		}
		for _, name := range names {
			if !slices.Contains(list[at].names, name) {
				list[at].names = append(list[at].names, name)
			}
		}
		return nil
	}
	for _, text := range names {
		if text == "" {
			return nil, errs.Invalid("image name cannot be blank")
		}
		ref, err := reference.ParseAnyReference(text)
		if err != nil {
			return nil, errs.Invalid("%v", err)
		}
		named, isNamed := ref.(reference.Named)
		if isNamed && reference.IsNameOnly(named) && reference.FamiliarName(named) != string(digest.Canonical) {
			if all := tagsOf(snap, named.Name()); len(all) > 0 {
				for _, name := range all {
					if err := add(snap.ByName(name), text, name); err != nil {
						return nil, err
					}
				}
				continue
			}
		}
		if isNamed {
			name := canonical(named)
			if img := snap.ByName(name); img != nil && !reference.IsNameOnly(named) {
				if strings.Contains(name, "@") {
					err = add(img, text)
				} else {
					err = add(img, text, name)
				}
				if err != nil {
					return nil, err
				}
				continue
			}
		}
		img := byAnyID(snap, ref, text)
		if img == nil && isNamed && !reference.IsNameOnly(named) && reference.FamiliarName(named) != string(digest.Canonical) {
			return nil, errs.NotFound("reference does not exist")
		}
		if img == nil {
			return nil, errs.NotFound("No such image: %s", text)
		}
		if err := add(img, text); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// byAnyID finds an image by its id or a unique prefix of it, or gives nil.
func byAnyID(snap *store.Snapshot, ref reference.Reference, text string) *store.Image {
	if _, isNamed := ref.(reference.Named); !isNamed {
		if d, ok := ref.(reference.Digested); ok {
			return snap.ByID(d.Digest())
		}
		return nil
	}
	return byIDPrefix(snap, text)
}

// tagsOf gives the names with tags that images of a repository have, sorted.
func tagsOf(snap *store.Snapshot, repository string) []string {
	var names []string
	for _, img := range snap.Images {
		for _, name := range img.Names {
			if tag, ok := strings.CutPrefix(name, repository+":"); ok && !strings.Contains(tag, "/") && !strings.Contains(tag, "@") {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// platformsOf gives what is to be saved of an image: it for each platform that
// is wanted, and without a wish for all that are there. An id means one only.
func (i *Images) platformsOf(p pickedImage, wanted []ocispec.Platform) ([]*store.Image, error) {
	snap := i.store.Snapshot()
	if len(wanted) == 0 {
		list := []*store.Image{p.image}
		for _, other := range snap.Others(p.image.ID) {
			if len(p.names) > 0 && other.Damage == nil {
				list = append(list, other)
			}
		}
		return list, nil
	}
	var list []*store.Image
	for n := range wanted {
		img, err := forPlatform(snap, p.image, p.asked, &wanted[n])
		if err != nil {
			return nil, err
		}
		switch {
		case slices.Contains(list, img):
		case img.ID == p.image.ID: // the main one is first here, too
			list = slices.Insert(list, 0, img)
		default:
			list = append(list, img)
		}
	}
	return list, nil
}
