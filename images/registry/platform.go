package registry

import (
	"context"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/internal/errs"
)

// maxIndexDepth is how deep indexes may be nested.
const maxIndexDepth = 4

// Image follows an index to the manifest for a platform; nil is the host's. A
// manifest is what it is.
func (r *Repository) Image(ctx context.Context, m *Manifest, wanted *ocispec.Platform) (*Manifest, error) {
	for depth := 0; m.IsIndex(); depth++ {
		if depth == maxIndexDepth {
			return nil, errs.Invalid("indexes are nested more than %d deep", maxIndexDepth)
		}
		d, err := Choose(m, wanted)
		if err != nil {
			return nil, err
		}
		next, err := r.Manifest(ctx, d.Digest.String())
		if err != nil {
			return nil, err
		}
		if int64(len(next.Raw)) != d.Size && d.Size > 0 {
			return nil, errs.Invalid("manifest %s has %d bytes, not the %d of its index", d.Digest, len(next.Raw), d.Size)
		}
		next.Platform = d.Platform
		m = next
	}
	return m, nil
}

// Choose gives the entry of an index that fits a platform best; nil is the host's.
func Choose(m *Manifest, wanted *ocispec.Platform) (ocispec.Descriptor, error) {
	p := platforms.DefaultSpec()
	if wanted != nil {
		p = *wanted
	}
	only := platforms.Only(p)
	var best *ocispec.Descriptor
	for i, d := range m.Manifests {
		if !isManifest(d.MediaType) && !isIndex(d.MediaType) {
			continue
		}
		have := ocispec.Platform{}
		if d.Platform != nil {
			have = platforms.Normalize(*d.Platform)
		}
		switch {
		case d.Platform == nil || have.OS == "" && have.Architecture == "":
			// It says nothing: only the one entry of an index is worth a look.
			if len(m.Manifests) == 1 {
				best = &m.Manifests[i]
			}
		case !only.Match(have):
		case best == nil || best.Platform == nil || only.Less(have, platforms.Normalize(*best.Platform)):
			best = &m.Manifests[i]
		}
	}
	if best == nil {
		return ocispec.Descriptor{}, errs.NotFound("no matching manifest for %s in the manifest list entries", platforms.FormatAll(p))
	}
	return *best, nil
}
