package bundle

import (
	"slices"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/internal/errs"
)

// dockerItem is an image in manifest.json.
type dockerItem struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (sp *Spool) dockerImages(wanted []ocispec.Platform) ([]Image, error) {
	var items []dockerItem
	if _, err := sp.decode(manifestFile, 2, &items); err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, errs.Invalid("invalid %s: it lists no image", manifestFile)
	}
	match, missing := matchAny(wanted), slices.Clone(wanted)
	var images []Image
	for _, item := range items {
		config, err := sp.read(item.Config, maxConfigBytes)
		if err != nil {
			return nil, err
		}
		if err := checkNamedDigest(item.Config, config); err != nil {
			return nil, err
		}
		p, err := platformOf(config)
		if err != nil {
			return nil, err
		}
		if !match(p) {
			continue
		}
		missing = slices.DeleteFunc(missing, func(w ocispec.Platform) bool { return platforms.Only(w).Match(p) })
		var names []string
		for _, tag := range item.RepoTags {
			name, err := tagName(tag)
			if err != nil {
				return nil, err
			}
			names = append(names, name)
		}
		img, err := sp.image(config, item.Layers, names)
		if err != nil {
			return nil, err
		}
		images = append(images, img)
	}
	if len(images) == 0 || len(missing) > 0 {
		return nil, noneMatches(missing)
	}
	return images, nil
}
