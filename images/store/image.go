package store

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/reference"
	"github.com/jobengine/engine/internal/strictjson"
)

// MaxConfigBytes bounds the config of an image.
const MaxConfigBytes = 8 << 20

// Image is an image as it is listed. It is shared and never changed.
type Image struct {
	ID         digest.Digest
	Config     dockerspec.DockerOCIImage
	Comment    string          // of the config, which the OCI type does not have
	Docker     string          // the version of docker that made it, if its config says so
	Chain      []digest.Digest // chain ids of the layers from the bottom
	SizeBytes  int64           // of the files in all layers
	Parent     digest.Digest   // "" where it is not known
	Beside     []digest.Digest // the images that have this one's names, which it is for another platform
	LastTagged time.Time
	Names      []string // canonical references with tag or digest, sorted
	Tags       []string // those of Names that have tags, as people write them; never nil
	Digests    []string // those that have digests, likewise
	Damage     error    // why the image cannot be used; nil for a good one

	names  map[string]uint64 // with their sequence numbers
	layers bool              // Damage is of layers only: it ends when they are there again
}

// Top is the chain id of the uppermost layer, "" without layers.
func (img *Image) Top() digest.Digest {
	if len(img.Chain) == 0 {
		return ""
	}
	return img.Chain[len(img.Chain)-1]
}

// Created is when the image says it was made; zero when it does not.
func (img *Image) Created() time.Time {
	if img.Config.Created == nil {
		return time.Time{}
	}
	return *img.Config.Created
}

// sortNames makes the lists of names follow the map.
func (img *Image) sortNames() {
	img.Names = slices.Sorted(maps.Keys(img.names))
	img.Tags, img.Digests = []string{}, []string{}
	for _, name := range img.Names {
		text := name
		if ref, err := reference.Parse(name); err == nil {
			text = reference.FamiliarString(ref)
		}
		if strings.Contains(name, "@") {
			img.Digests = append(img.Digests, text)
		} else {
			img.Tags = append(img.Tags, text)
		}
	}
}

// ParseConfig reads an image's config and checks it: one JSON object without
// ambiguities, and layers whose digests are digests.
func ParseConfig(data []byte) (*Image, error) {
	if len(data) > MaxConfigBytes {
		return nil, errs.TooLarge("image config of %d bytes is larger than %d", len(data), MaxConfigBytes)
	}
	if err := strictjson.Check(data, 2); err != nil {
		return nil, errs.Invalid("invalid image config: %v", err)
	}
	img := &Image{ID: digest.FromBytes(data)}
	if err := json.Unmarshal(data, &img.Config); err != nil {
		return nil, errs.Invalid("invalid image config: %v", err)
	}
	extra := struct {
		Comment string `json:"comment"`
		Docker  string `json:"docker_version"`
	}{}
	if err := json.Unmarshal(data, &extra); err != nil {
		return nil, errs.Invalid("invalid image config: %v", err)
	}
	img.Comment, img.Docker = extra.Comment, extra.Docker
	if t := img.Config.RootFS.Type; t != "layers" {
		return nil, errs.Invalid("invalid image config: rootfs type is %q, not \"layers\"", t)
	}
	for _, diffID := range img.Config.RootFS.DiffIDs {
		if err := diffID.Validate(); err != nil || diffID.Algorithm() != digest.SHA256 {
			return nil, errs.Invalid("invalid image config: %q is not a SHA-256 diff id", string(diffID))
		}
	}
	img.Chain = ChainIDs(img.Config.RootFS.DiffIDs)
	return img, nil
}

// ChainIDs gives the chain id of each layer: the digest of the diff ids from the bottom up to it.
func ChainIDs(diffIDs []digest.Digest) []digest.Digest {
	chain := make([]digest.Digest, len(diffIDs))
	for i, diffID := range diffIDs {
		if i == 0 {
			chain[i] = diffID
		} else {
			chain[i] = chainID(chain[i-1], diffID)
		}
	}
	return chain
}

func chainID(parent, diffID digest.Digest) digest.Digest {
	if parent == "" {
		return diffID
	}
	return digest.FromString(parent.String() + " " + diffID.String())
}
