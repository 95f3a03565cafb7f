package images

import (
	"slices"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/errs"
)

// A name stands for one image. Images that came in with it for other platforms
// are beside it: they have no name of their own, and whoever asks for their
// platform by the name of the main one gets them. They go when it goes.

// findFor finds an image that can be used, of a platform, "" for the one that
// the name stands for.
func (i *Images) findFor(text, platform string) (*store.Image, error) {
	img, err := i.find(text)
	if err != nil {
		return nil, err
	}
	if platform == "" {
		return img, usable(img)
	}
	want, err := platforms.Parse(platform)
	if err != nil {
		return nil, errs.Invalid("%v", err)
	}
	return forPlatform(i.store.Snapshot(), img, text, &want)
}

// forPlatform gives an image, or the one beside it that is for the platform;
// nil is any. asked is how somebody named it.
func forPlatform(snap *store.Snapshot, img *store.Image, asked string, want *ocispec.Platform) (*store.Image, error) {
	if want == nil {
		return img, usable(img)
	}
	strict := platforms.OnlyStrict(*want)
	for _, one := range append([]*store.Image{img}, snap.Others(img.ID)...) {
		if strict.Match(platformOf(one)) {
			return one, usable(one)
		}
	}
	if err := usable(img); err != nil {
		return nil, err
	}
	return nil, errs.NotFound("image with reference %s was found but does not provide the specified platform (%s), only %s",
		asked, platforms.FormatAll(*want), platforms.FormatAll(platformOf(img)))
}

// parsePlatforms reads platforms as people write them.
func parsePlatforms(texts []string) ([]ocispec.Platform, error) {
	var all []ocispec.Platform
	for _, text := range texts {
		p, err := platforms.Parse(text)
		if err != nil {
			return nil, errs.Invalid("%v", err)
		}
		all = append(all, p)
	}
	return all, nil
}

// isBeside tells whether an image is there because another one has its name.
func isBeside(snap *store.Snapshot, img *store.Image) bool {
	named := func(one *store.Image) bool { return len(one.Names) > 0 }
	return !named(img) && slices.ContainsFunc(snap.Mains(img), named)
}

// isKept tells whether a tag leads to an image.
func isKept(snap *store.Snapshot, img *store.Image) bool {
	tagged := func(one *store.Image) bool { return slices.ContainsFunc(one.Names, isTag) }
	return tagged(img) || slices.ContainsFunc(snap.Mains(img), tagged)
}
