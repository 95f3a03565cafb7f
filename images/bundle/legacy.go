package bundle

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/internal/archive"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/reference"
	"github.com/jobengine/engine/internal/strictjson"
)

// maxLegacyLayers bounds the chain of parents of an image of old.
const maxLegacyLayers = 500

// legacyLayer is what ID/json tells of a layer and the image that ends with it.
type legacyLayer struct {
	Parent          string                 `json:"parent"`
	Created         time.Time              `json:"created"`
	Author          string                 `json:"author"`
	Comment         string                 `json:"comment"`
	Throwaway       bool                   `json:"throwaway"`
	ContainerConfig struct{ Cmd []string } `json:"container_config"`
}

// legacyHistory and legacyRootFS have the order of fields that Docker writes: an
// image gets the same id here and there.
type legacyHistory struct {
	Created    time.Time `json:"created"`
	Author     string    `json:"author,omitempty"`
	CreatedBy  string    `json:"created_by,omitempty"`
	Comment    string    `json:"comment,omitempty"`
	EmptyLayer bool      `json:"empty_layer,omitempty"`
}

type legacyRootFS struct {
	Type    string          `json:"type"`
	DiffIDs []digest.Digest `json:"diff_ids,omitempty"`
}

// legacyImages reads the archives that Docker wrote before 1.10: repositories
// names the uppermost layer of each image, ID/json its config and parent.
func (sp *Spool) legacyImages(ctx context.Context) ([]Image, error) {
	repositories := map[string]map[string]string{}
	if _, err := sp.decode(repositoriesFile, 0, &repositories); err != nil {
		return nil, err
	}
	names := map[string][]string{} // by layer id
	for repo, tags := range repositories {
		for tag, id := range tags {
			name, err := legacyName(repo, tag)
			if err != nil {
				return nil, err
			}
			names[id] = append(names[id], name)
		}
	}
	diffIDs := map[string]digest.Digest{}
	var images []Image
	for _, id := range slices.Sorted(maps.Keys(names)) {
		img, err := sp.legacyImage(ctx, id, diffIDs)
		if err != nil {
			return nil, err
		}
		slices.Sort(names[id])
		img.Names = names[id]
		images = append(images, img)
	}
	if len(images) == 0 {
		return nil, errs.Invalid("invalid %s: it lists no image", repositoriesFile)
	}
	return images, nil
}

func legacyName(repo, tag string) (string, error) {
	named, err := reference.ParseNormalizedNamed(repo)
	if err != nil {
		return "", errs.Invalid("%v", err)
	}
	tagged, err := reference.WithTag(reference.TrimNamed(named), tag)
	if err != nil {
		return "", errs.Invalid("%v", err)
	}
	return tagged.String(), nil
}

// legacyImage makes a config of today from those of the layers, from top to bottom.
func (sp *Spool) legacyImage(ctx context.Context, top string, diffIDs map[string]digest.Digest) (Image, error) {
	var layers []string
	var diffs []digest.Digest
	var history []legacyHistory
	var config map[string]json.RawMessage
	seen := map[string]bool{}
	for id := top; id != ""; {
		if digest.NewDigestFromEncoded(digest.SHA256, id).Validate() != nil {
			return Image{}, errs.Invalid("%q is not an id of a layer", id)
		}
		if seen[id] || len(seen) == maxLegacyLayers {
			return Image{}, errs.Invalid("layer %s has no end of parents", top)
		}
		seen[id] = true
		data, err := sp.read(path.Join(id, "json"), maxConfigBytes)
		if err != nil {
			return Image{}, err
		}
		if err := strictjson.Check(data, 2); err != nil {
			return Image{}, errs.Invalid("invalid %s/json: %v", id, err)
		}
		var l legacyLayer
		if err := json.Unmarshal(data, &l); err != nil {
			return Image{}, errs.Invalid("invalid %s/json: %v", id, err)
		}
		if id == top {
			if err := json.Unmarshal(data, &config); err != nil {
				return Image{}, errs.Invalid("invalid %s/json: %v", id, err)
			}
		}
		history = append(history, legacyHistory{
			l.Created, l.Author, strings.Join(l.ContainerConfig.Cmd, " "), l.Comment, l.Throwaway,
		})
		if !l.Throwaway {
			name := path.Join(id, "layer.tar")
			if diffIDs[id] == "" {
				if diffIDs[id], err = sp.diffID(ctx, name); err != nil {
					return Image{}, err
				}
			}
			layers = append(layers, name)
			diffs = append(diffs, diffIDs[id])
		}
		id = l.Parent
	}
	slices.Reverse(layers)
	slices.Reverse(diffs)
	slices.Reverse(history)
	for _, key := range []string{"id", "parent", "Size", "parent_id", "layer_id", "throwaway"} {
		delete(config, key)
	}
	var err error
	if config["rootfs"], err = json.Marshal(legacyRootFS{"layers", diffs}); err != nil {
		return Image{}, err
	}
	if config["history"], err = json.Marshal(history); err != nil {
		return Image{}, err
	}
	data, err := json.Marshal(config)
	if err != nil {
		return Image{}, err
	}
	return sp.image(data, layers, nil)
}

// diffID computes the digest of the uncompressed content of a member.
func (sp *Spool) diffID(ctx context.Context, name string) (digest.Digest, error) {
	m, err := sp.find(name)
	if err != nil {
		return "", err
	}
	f, err := sp.open(m)
	if err != nil {
		return "", err
	}
	defer f.Close()
	plain, _, err := archive.Decompress(f)
	if err != nil {
		return "", err
	}
	defer plain.Close()
	h := digest.SHA256.Digester()
	if _, err := io.Copy(h.Hash(), readerWithContext{ctx, plain}); err != nil {
		return "", err
	}
	return h.Digest(), nil
}

type readerWithContext struct {
	ctx context.Context
	r   io.Reader
}

func (r readerWithContext) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
