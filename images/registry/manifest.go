package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/strictjson"
)

// Media types of Docker that mean the same as OCI's.
const (
	DockerList         = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	DockerConfig       = "application/vnd.docker.container.image.v1+json"
	DockerLayer        = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	dockerLayerPlain   = "application/vnd.docker.image.rootfs.diff.tar"
	dockerLayerZstd    = "application/vnd.docker.image.rootfs.diff.tar.zstd"
	DockerForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	schema1            = "application/vnd.docker.distribution.manifest.v1+json"
	schema1Signed      = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// The limits of what is read into memory.
const (
	MaxManifestBytes = 4 << 20
	maxLayers        = 1000
)

var accepted = []string{
	DockerManifest, DockerList, ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest,
}

// Manifest is a manifest or an index, as the registry has it.
type Manifest struct {
	MediaType string
	Digest    digest.Digest
	Raw       []byte
	Platform  *ocispec.Platform // that an index says of it

	Config    ocispec.Descriptor
	Layers    []ocispec.Descriptor // from the bottom
	Manifests []ocispec.Descriptor // of an index
}

// IsIndex tells an index from a manifest.
func (m *Manifest) IsIndex() bool { return isIndex(m.MediaType) }

// Descriptor is the manifest as others refer to it.
func (m *Manifest) Descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Raw)), Platform: m.Platform}
}

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == DockerList
}

func isManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == DockerManifest
}

// IsForeign tells layers that a registry need not have: they have URLs elsewhere
// and are not pushed.
func IsForeign(mediaType string) bool {
	return mediaType == DockerForeignLayer || strings.Contains(mediaType, ".nondistributable.")
}

func isLayer(mediaType string) bool {
	switch mediaType {
	case ocispec.MediaTypeImageLayer, ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayerZstd,
		DockerLayer, dockerLayerPlain, dockerLayerZstd, DockerForeignLayer:
		return true
	}
	return strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.nondistributable.v1.tar")
}

// Manifest gets a manifest or an index by tag or digest. What has a digest is
// compared with it.
func (r *Repository) Manifest(ctx context.Context, tagOrDigest string) (*Manifest, error) {
	resp, raw, err := r.whole(ctx, request{
		method: http.MethodGet, url: r.url("manifests", tagOrDigest),
		header: http.Header{"Accept": accepted},
	}, MaxManifestBytes+1)
	switch {
	case resp == nil:
		return nil, err
	case resp.ContentLength > MaxManifestBytes:
		return nil, errs.TooLarge("manifest %s of %d bytes is larger than %d", tagOrDigest, resp.ContentLength, MaxManifestBytes)
	case err != nil:
		return nil, fmt.Errorf("read manifest %s: %w", tagOrDigest, err)
	}
	if len(raw) > MaxManifestBytes {
		return nil, errs.TooLarge("manifest %s is larger than %d bytes", tagOrDigest, MaxManifestBytes)
	}
	if want, err := digest.Parse(tagOrDigest); err == nil {
		if !want.Algorithm().Available() || want.Algorithm().FromBytes(raw) != want {
			return nil, fmt.Errorf("manifest verification failed for digest %s", want)
		}
	}
	return ParseManifest(raw, resp.Header.Get("Content-Type"))
}

// Head asks for the descriptor of a manifest alone; its digest is the registry's word.
func (r *Repository) Head(ctx context.Context, tagOrDigest string) (ocispec.Descriptor, error) {
	resp, err := r.authorized(ctx, request{
		method: http.MethodHead, url: r.url("manifests", tagOrDigest),
		header: http.Header{"Accept": accepted},
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	drain(resp)
	d := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if err := d.Validate(); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("the registry gives manifest %s no digest", tagOrDigest)
	}
	return ocispec.Descriptor{MediaType: resp.Header.Get("Content-Type"), Digest: d, Size: resp.ContentLength}, nil
}

// document is what manifests and indexes are written in.
type document struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	FSLayers      []json.RawMessage    `json:"fsLayers"`
}

// ParseManifest reads a manifest or an index; sent is the media type that it
// came with. A document that two readers could take for different things is refused.
func ParseManifest(raw []byte, sent string) (*Manifest, error) {
	mediaType, _, err := mime.ParseMediaType(sent)
	if err != nil {
		mediaType = ""
	}
	if mediaType == schema1 || mediaType == schema1Signed {
		return nil, errs.Invalid("%w", ErrSchema1)
	}
	plain := false
	if !isIndex(mediaType) && !isManifest(mediaType) {
		// Plain JSON, as simple servers send it: the document says what it is.
		switch mediaType {
		case "", "application/json", "text/plain", "application/octet-stream":
			plain = true
		default:
			return nil, errs.Invalid("unsupported manifest media type %q", shorten(mediaType))
		}
	}
	if err := strictjson.Check(raw, 1); err != nil {
		return nil, errs.Invalid("invalid manifest: %v", err)
	}
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, errs.Invalid("invalid manifest: %v", err)
	}
	switch {
	case doc.SchemaVersion == 1 || doc.FSLayers != nil && doc.Config == nil:
		return nil, errs.Invalid("%w", ErrSchema1)
	case doc.FSLayers != nil, doc.Manifests != nil && (doc.Config != nil || doc.Layers != nil):
		return nil, errs.Invalid("invalid manifest: it is an index and a manifest at once")
	case doc.SchemaVersion != 2:
		return nil, errs.Invalid("invalid manifest: schema version %d is not supported", doc.SchemaVersion)
	}
	if plain {
		switch mediaType = doc.MediaType; {
		case mediaType == "" && doc.Manifests != nil:
			mediaType = ocispec.MediaTypeImageIndex
		case mediaType == "" && doc.Config != nil:
			mediaType = ocispec.MediaTypeImageManifest
		}
	}
	if doc.MediaType != "" && doc.MediaType != mediaType {
		return nil, errs.Invalid("invalid manifest: it says it is %q and was sent as %q", shorten(doc.MediaType), shorten(mediaType))
	}
	m := &Manifest{MediaType: mediaType, Digest: digest.FromBytes(raw), Raw: raw, Layers: doc.Layers, Manifests: doc.Manifests}
	switch {
	case isIndex(mediaType):
		if doc.Config != nil || doc.Layers != nil {
			return nil, errs.Invalid("invalid manifest: it is not what its media type %q says", mediaType)
		}
		return m, checkAll(m.Manifests, MaxManifestBytes)
	case isManifest(mediaType):
		if doc.Config == nil || doc.Manifests != nil {
			return nil, errs.Invalid("invalid manifest: it is not what its media type %q says", mediaType)
		}
		m.Config = *doc.Config
		return m, m.check()
	}
	return nil, errs.Invalid("unsupported manifest media type %q", shorten(mediaType))
}

// check looks at what a manifest refers to.
func (m *Manifest) check() error {
	if c := m.Config.MediaType; c != ocispec.MediaTypeImageConfig && c != DockerConfig && c != "application/octet-stream" {
		return errs.Invalid("unsupported media type %s: it is not an image", shorten(c))
	}
	if len(m.Layers) > maxLayers {
		return errs.TooLarge("manifest has more than %d layers", maxLayers)
	}
	for _, l := range m.Layers {
		if !isLayer(l.MediaType) {
			return errs.Invalid("unsupported media type %s of layer %s", shorten(l.MediaType), shorten(l.Digest.String()))
		}
	}
	return checkAll(append([]ocispec.Descriptor{m.Config}, m.Layers...), 0)
}

// checkAll refuses digests that are none and sizes that cannot be; max 0 is no limit.
func checkAll(all []ocispec.Descriptor, max int64) error {
	for _, d := range all {
		if err := d.Digest.Validate(); err != nil {
			return errs.Invalid("invalid manifest: %q: %v", shorten(string(d.Digest)), err)
		}
		if d.Digest.Algorithm() != digest.SHA256 {
			return errs.Invalid("invalid manifest: digest %s is not SHA-256", d.Digest)
		}
		if d.Size < 0 || max > 0 && d.Size > max {
			return errs.Invalid("invalid manifest: %s cannot have %d bytes", d.Digest, d.Size)
		}
	}
	return nil
}

// LayerType gives the media type of a layer in Docker's or the OCI's words.
func LayerType(mediaType string, oci bool) string {
	pairs := [][2]string{
		{DockerLayer, ocispec.MediaTypeImageLayerGzip},
		{dockerLayerPlain, ocispec.MediaTypeImageLayer},
		{dockerLayerZstd, ocispec.MediaTypeImageLayerZstd},
	}
	for _, p := range pairs {
		if mediaType == p[0] || mediaType == p[1] {
			if oci {
				return p[1]
			}
			return p[0]
		}
	}
	return mediaType
}
