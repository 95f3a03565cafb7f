package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/reference"
	"github.com/jobengine/engine/internal/strictjson"
)

// The documents that tell what an archive is.
const (
	manifestFile     = "manifest.json"
	indexFile        = ocispec.ImageIndexFile
	layoutFile       = ocispec.ImageLayoutFile
	repositoriesFile = "repositories"
)

// Image is an image of an archive. Its config is as it came and not looked at,
// except that it has as many layers as are here.
type Image struct {
	Config []byte
	Names  []string // canonical references
	Layers []Layer  // from the bottom
	// Beside says that it is the last image before it that is not, for another platform.
	Beside bool
}

// Layer is a layer of an archive, compressed or not.
type Layer struct {
	DiffID digest.Digest
	Size   int64 // of the member
	Open   func(context.Context) (io.ReadCloser, error)
	// Done says that this layer will not be opened any more; when all that are
	// made of the same member say so, it is removed from the spool.
	Done func()
}

// Images reads what the archive says of its images. Of an image for several
// platforms those wanted are taken; none wanted is the host's.
func (sp *Spool) Images(ctx context.Context, wanted []ocispec.Platform) ([]Image, error) {
	switch {
	case sp.has(manifestFile) && len(wanted) > 1 && sp.has(indexFile):
		return sp.ociImages(wanted) // the other one has an image for one platform only
	case sp.has(manifestFile):
		images, err := sp.dockerImages(wanted)
		if errdefs.IsNotFound(err) && sp.has(indexFile) {
			return sp.ociImages(wanted) // which may have more platforms
		}
		return images, err
	case sp.has(indexFile):
		return sp.ociImages(wanted)
	case sp.has(repositoriesFile):
		return sp.legacyImages(ctx)
	}
	return nil, errs.Invalid("not an image archive: it has none of %s, %s, %s", manifestFile, indexFile, repositoriesFile)
}

// decode reads a document strictly into v; down to foldDepth its keys are field names.
func (sp *Spool) decode(name string, foldDepth int, v any) ([]byte, error) {
	data, err := sp.read(name, maxManifestBytes)
	if err != nil {
		return nil, err
	}
	data = bytes.TrimRight(data, "\x00") // where someone has shortened a member of a tar by hand
	if err := strictjson.Check(data, foldDepth); err != nil {
		return nil, errs.Invalid("invalid %s: %v", name, err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return nil, errs.Invalid("invalid %s: %v", name, err)
	}
	return data, nil
}

// image puts an image together from a config and the names of its layers' members.
func (sp *Spool) image(config []byte, layers []string, names []string) (Image, error) {
	var c struct {
		RootFS struct {
			DiffIDs []digest.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return Image{}, errs.Invalid("invalid image config: %v", err)
	}
	if have, want := len(layers), len(c.RootFS.DiffIDs); have != want {
		return Image{}, errs.Invalid("invalid manifest, layers length mismatch: expected %d, got %d", have, want)
	}
	img := Image{Config: config, Names: names}
	for i, name := range layers {
		m, err := sp.find(name)
		if err != nil {
			return Image{}, err
		}
		diffID := c.RootFS.DiffIDs[i]
		if err := diffID.Validate(); err != nil || diffID.Algorithm() != digest.SHA256 {
			return Image{}, errs.Invalid("invalid image config: %q is not a SHA-256 diff id", string(diffID))
		}
		img.Layers = append(img.Layers, Layer{
			DiffID: diffID, Size: m.size,
			Open: func(context.Context) (io.ReadCloser, error) { return sp.open(m) },
			Done: sync.OnceFunc(func() { sp.unuse(m) }),
		})
		sp.uses[m.file]++
	}
	return img, nil
}

// checkNamedDigest compares a config with the digest that its member is named
// by: HEX.json, sha256:HEX or blobs/sha256/HEX. Other names promise nothing.
func checkNamedDigest(name string, content []byte) error {
	base := strings.TrimSuffix(path.Base(name), ".json")
	want := digest.NewDigestFromEncoded(digest.SHA256, strings.TrimPrefix(base, "sha256:"))
	if want.Validate() == nil && digest.FromBytes(content) != want {
		return errs.Invalid("archive member %q does not have the digest that is its name", name)
	}
	return nil
}

// tagName is the canonical form of a name with a tag. Docker's words.
func tagName(text string) (string, error) {
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return "", errs.Invalid("%v", err)
	}
	if _, ok := named.(reference.NamedTagged); !ok {
		return "", errs.Invalid("invalid tag %q", text)
	}
	if _, ok := named.(reference.Digested); ok {
		return "", errs.Invalid("invalid tag %q", text)
	}
	return named.String(), nil
}

// matcher tells whether a platform is one of those wanted.
type matcher func(ocispec.Platform) bool

func matchAny(wanted []ocispec.Platform) matcher {
	if len(wanted) == 0 {
		return func(ocispec.Platform) bool { return true }
	}
	return func(p ocispec.Platform) bool {
		for _, w := range wanted {
			if platforms.Only(w).Match(p) {
				return true
			}
		}
		return false
	}
}

// platformOf is what a config says of its platform.
func platformOf(config []byte) (ocispec.Platform, error) {
	var p ocispec.Platform
	if err := json.Unmarshal(config, &p); err != nil {
		return p, errs.Invalid("invalid image config: %v", err)
	}
	return platforms.Normalize(p), nil
}

func noneMatches(wanted []ocispec.Platform) error {
	texts := make([]string, len(wanted))
	for i, w := range wanted {
		texts[i] = platforms.FormatAll(w)
	}
	return errs.NotFound("archive has no image for the platform %s", strings.Join(texts, ", "))
}
