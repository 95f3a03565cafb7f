package bundle

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/reference"
)

// Media types of Docker that mean the same as OCI's.
const (
	dockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig       = "application/vnd.docker.container.image.v1+json"
)

// containerdName is where containerd and buildkit put an image's full name.
const containerdName = "io.containerd.image.name"

// maxManifests bounds how many documents are read for one archive, and
// maxIndexDepth how deep indexes may be nested.
const (
	maxManifests  = 1000
	maxIndexDepth = 4
)

// document is a manifest or an index: which of the two, its fields tell.
type document struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	FSLayers      []any                `json:"fsLayers"`
}

// found is an image's manifest that an index leads to.
type found struct {
	manifest document
	config   []byte
	platform ocispec.Platform
}

// layoutReader walks an OCI layout.
type layoutReader struct {
	*Spool
	read int // documents so far
}

func (sp *Spool) ociImages(wanted []ocispec.Platform) ([]Image, error) {
	if sp.has(layoutFile) {
		var layout ocispec.ImageLayout
		if _, err := sp.decode(layoutFile, 1, &layout); err != nil {
			return nil, err
		}
		if layout.Version != ocispec.ImageLayoutVersion {
			return nil, errs.Invalid("OCI layout version %q is not supported", layout.Version)
		}
	}
	var index document
	if _, err := sp.decode(indexFile, 1, &index); err != nil {
		return nil, err
	}
	if err := index.check(indexFile); err != nil {
		return nil, err
	}
	lr := &layoutReader{Spool: sp}
	groups, order, err := lr.groups(index)
	if err != nil {
		return nil, err
	}
	var images []Image
	missing := slices.Clone(wanted)
	for _, key := range order {
		chosen := choose(groups[key], wanted)
		for n, f := range chosen {
			missing = slices.DeleteFunc(missing, func(w ocispec.Platform) bool { return platforms.Only(w).Match(f.platform) })
			img, err := lr.image(f, key)
			if err != nil {
				return nil, err
			}
			if n > 0 {
				img.Beside, img.Names = true, nil
			}
			images = append(images, img)
		}
	}
	if len(missing) > 0 {
		return nil, noneMatches(missing)
	}
	if len(images) == 0 {
		if len(wanted) == 0 {
			wanted = []ocispec.Platform{platforms.DefaultSpec()}
		}
		return nil, noneMatches(wanted)
	}
	return images, nil
}

// groups gathers the images of the layout: those of one name, or of one entry
// of index.json without a name, are one image for several platforms.
func (lr *layoutReader) groups(index document) (map[string][]found, []string, error) {
	groups := map[string][]found{}
	var order []string
	for i, d := range index.Manifests {
		name, err := nameOf(d)
		if err != nil {
			return nil, nil, err
		}
		key := name
		if key == "" {
			key = fmt.Sprintf("#%d", i)
		}
		images, err := lr.walk(d, 0)
		if err != nil {
			return nil, nil, err
		}
		if !slices.Contains(order, key) {
			order = append(order, key)
		}
		groups[key] = append(groups[key], images...)
	}
	return groups, order, nil
}

// walk gives the images that a descriptor leads to.
func (lr *layoutReader) walk(d ocispec.Descriptor, depth int) ([]found, error) {
	if depth > maxIndexDepth {
		return nil, errs.Invalid("indexes are nested more than %d deep", maxIndexDepth)
	}
	if !isIndex(d.MediaType) && !isManifest(d.MediaType) {
		return nil, nil // something that is not an image
	}
	if lr.read++; lr.read > maxManifests {
		return nil, errs.TooLarge("archive has more than %d manifests", maxManifests)
	}
	name, err := lr.blob(d)
	if err != nil {
		return nil, err
	}
	var doc document
	if _, err := lr.decode(name, 1, &doc); err != nil {
		return nil, err
	}
	if err := doc.check(name); err != nil {
		return nil, err
	}
	if isIndex(d.MediaType) != (doc.Config == nil) {
		return nil, errs.Invalid("invalid %s: it is not what its media type %q says", name, d.MediaType)
	}
	if doc.Config != nil {
		f, err := lr.manifest(d, doc)
		if err != nil || f == nil {
			return nil, err
		}
		return []found{*f}, nil
	}
	var all []found
	for _, m := range doc.Manifests {
		if m.Platform != nil && m.Platform.OS == "unknown" {
			continue // an attestation
		}
		if m.Digest.Validate() == nil && !lr.has(blobName(m)) {
			continue // an index may tell of platforms that were left out
		}
		images, err := lr.walk(m, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, images...)
	}
	return all, nil
}

// manifest reads the config of a manifest; nil if it is not an image's.
func (lr *layoutReader) manifest(d ocispec.Descriptor, doc document) (*found, error) {
	if doc.Config.MediaType != ocispec.MediaTypeImageConfig && doc.Config.MediaType != dockerConfig {
		return nil, nil
	}
	name, err := lr.blob(*doc.Config)
	if err != nil {
		return nil, err
	}
	config, err := lr.Spool.read(name, maxConfigBytes)
	if err != nil {
		return nil, err
	}
	p, err := platformOf(config)
	if err != nil {
		return nil, err
	}
	if d.Platform != nil {
		p = platforms.Normalize(*d.Platform)
	}
	return &found{doc, config, p}, nil
}

// image gives the image of a manifest; key is its name, or begins with "#".
func (lr *layoutReader) image(f found, key string) (Image, error) {
	var layers []string
	for _, d := range f.manifest.Layers {
		if !isLayer(d.MediaType) {
			return Image{}, errs.Invalid("layer %s has the media type %q, which is not supported", d.Digest, d.MediaType)
		}
		name, err := lr.blob(d)
		if err != nil {
			return Image{}, err
		}
		layers = append(layers, name)
	}
	var names []string
	if !strings.HasPrefix(key, "#") {
		names = []string{key}
	}
	return lr.Spool.image(f.config, layers, names)
}

// blob gives the member that a descriptor is about. Its digest was compared
// with its name when it was spooled.
func (lr *layoutReader) blob(d ocispec.Descriptor) (string, error) {
	if err := d.Digest.Validate(); err != nil || d.Digest.Algorithm() != "sha256" {
		return "", errs.Invalid("%q is not a SHA-256 digest", string(d.Digest))
	}
	name := blobName(d)
	m, err := lr.find(name)
	if err != nil {
		return "", err
	}
	if m.digest != d.Digest {
		return "", errs.Invalid("archive member %q leads to another blob", name)
	}
	if m.size != d.Size {
		return "", errs.Invalid("archive member %q has %d bytes, not the %d of its descriptor", name, m.size, d.Size)
	}
	return name, nil
}

func blobName(d ocispec.Descriptor) string { return "blobs/sha256/" + d.Digest.Encoded() }

// check refuses a document that different readers would take for different things.
func (doc document) check(name string) error {
	switch {
	case doc.FSLayers != nil, doc.SchemaVersion == 1:
		return errs.Invalid("invalid %s: manifests of schema 1 are not supported", name)
	case doc.SchemaVersion != 2 && doc.SchemaVersion != 0:
		return errs.Invalid("invalid %s: schema version %d is not supported", name, doc.SchemaVersion)
	case doc.Manifests != nil && (doc.Config != nil || doc.Layers != nil):
		return errs.Invalid("invalid %s: it is an index and a manifest at once", name)
	}
	return nil
}

// choose takes the images for the platforms that are wanted: the best match for
// each, the host's first. Without a wish a single image is taken whatever it is for, and of
// several the host's.
func choose(images []found, wanted []ocispec.Platform) []found {
	if len(wanted) == 0 {
		if len(images) == 1 {
			return images
		}
		wanted = []ocispec.Platform{platforms.DefaultSpec()}
	}
	var out []found
	host := platforms.Default()
	for _, w := range wanted {
		only := platforms.Only(w)
		var best *found
		for i, f := range images {
			if only.Match(f.platform) && (best == nil || only.Less(f.platform, best.platform)) {
				best = &images[i]
			}
		}
		if best != nil && !slices.ContainsFunc(out, func(f found) bool { return bytes.Equal(f.config, best.config) }) {
			out = append(out, *best)
		}
	}
	slices.SortStableFunc(out, func(a, b found) int {
		switch aHere, bHere := host.Match(a.platform), host.Match(b.platform); {
		case aHere == bHere:
			return 0
		case aHere:
			return -1
		}
		return 1
	})
	return out
}

// nameOf gives the canonical name of an entry of index.json, "" for none. The
// annotation of OCI often has no more than a tag, which names nothing.
func nameOf(d ocispec.Descriptor) (string, error) {
	text := d.Annotations[containerdName]
	if text == "" {
		text = d.Annotations[ocispec.AnnotationRefName]
		if !strings.ContainsAny(text, "/:") {
			return "", nil
		}
	}
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return "", errs.Invalid("image name %q: %v", text, err)
	}
	if _, ok := named.(reference.Digested); ok {
		return "", nil
	}
	return reference.TagNameOnly(named).String(), nil
}

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == dockerManifestList
}

func isManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == dockerManifest
}

// isLayer tells the media types of tars; how they are compressed is seen from
// their first bytes.
func isLayer(mediaType string) bool {
	switch mediaType {
	case ocispec.MediaTypeImageLayer, ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayerZstd,
		"application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.diff.tar.gzip",
		"application/vnd.docker.image.rootfs.diff.tar.zstd":
		return true
	}
	return false
}
