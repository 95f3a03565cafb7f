package bundle

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/internal/reference"
)

// Saved is an image that goes into an archive.
type Saved struct {
	Config   []byte // as it came: its digest is the image's id
	Created  time.Time
	Platform ocispec.Platform
	Names    []string // canonical references with tags
	Parent   digest.Digest
	Layers   []SavedLayer // from the bottom
	Others   []Saved      // it for further platforms, under the same names
}

// SavedLayer is a layer that goes into an archive, uncompressed.
type SavedLayer struct {
	DiffID digest.Digest
	Bytes  int64
	// Write writes that many bytes. It is called once for all images that have the layer.
	Write func(ctx context.Context, w io.Writer) error
}

// savedItem is an image in manifest.json, in Docker's order of fields.
type savedItem struct {
	Config       string
	RepoTags     []string
	Layers       []string
	Parent       digest.Digest                        `json:",omitempty"`
	LayerSources map[digest.Digest]ocispec.Descriptor `json:",omitempty"`
}

// member of the archive that is written.
type output struct {
	bytes int64
	time  time.Time
	write func(ctx context.Context, w io.Writer) error
}

func content(data []byte, at time.Time) output {
	return output{int64(len(data)), at, func(_ context.Context, w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

// Write writes images as one archive that is an OCI layout and a docker-archive
// at once, as Docker does since 25: every loader finds what it knows. Layers that
// images share are in it once. Equal images make equal archives.
func Write(ctx context.Context, w io.Writer, images []Saved) error {
	members, err := layout(images)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(w, 256<<10)
	tw := tar.NewWriter(buffered)
	for _, dir := range []string{"blobs/", "blobs/sha256/"} {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: epoch}); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		m := members[name]
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: m.bytes, ModTime: m.time.Truncate(time.Second)}); err != nil {
			return err
		}
		if err := m.write(ctx, tw); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}

var epoch = time.Unix(0, 0)

// layout gives the members of the archive by name.
func layout(images []Saved) (map[string]output, error) {
	members := map[string]output{}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	items := []savedItem{}
	repositories := map[string]map[string]string{}
	here := map[digest.Digest]bool{}
	for _, img := range images {
		here[digest.FromBytes(img.Config)] = true
	}
	for _, img := range images {
		m, item, err := addImage(members, img)
		if err != nil {
			return nil, err
		}
		if here[img.Parent] {
			item.Parent = img.Parent
		}
		entry := m
		if len(img.Others) > 0 {
			if entry, err = addIndex(members, m, img.Others); err != nil {
				return nil, err
			}
		}
		for _, name := range img.Names {
			tagged, err := splitTag(name)
			if err != nil {
				return nil, err
			}
			item.RepoTags = append(item.RepoTags, reference.FamiliarString(tagged))
			entry.Annotations = map[string]string{containerdName: name, ocispec.AnnotationRefName: tagged.Tag()}
			index.Manifests = append(index.Manifests, entry)
			if len(img.Layers) > 0 {
				repo := reference.FamiliarName(tagged)
				if repositories[repo] == nil {
					repositories[repo] = map[string]string{}
				}
				repositories[repo][tagged.Tag()] = img.Layers[len(img.Layers)-1].DiffID.Encoded()
			}
		}
		if len(img.Names) == 0 {
			index.Manifests = append(index.Manifests, entry)
		}
		items = append(items, item)
	}
	documents := map[string]any{manifestFile: items, indexFile: index, layoutFile: ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}}
	if len(repositories) > 0 {
		documents[repositoriesFile] = repositories
	}
	for name, doc := range documents {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(doc); err != nil {
			return nil, err
		}
		members[name] = content(buf.Bytes(), epoch)
	}
	return members, nil
}

// addImage adds an image for one platform to the members.
func addImage(members map[string]output, img Saved) (ocispec.Descriptor, savedItem, error) {
	config := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(img.Config), Size: int64(len(img.Config))}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{}}
	item := savedItem{Config: blobName(config), Layers: []string{}, LayerSources: map[digest.Digest]ocispec.Descriptor{}}
	members[item.Config] = content(img.Config, img.Created)
	for _, layer := range img.Layers {
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: layer.DiffID, Size: layer.Bytes}
		manifest.Layers = append(manifest.Layers, d)
		item.Layers = append(item.Layers, blobName(d))
		item.LayerSources[layer.DiffID] = d
		members[blobName(d)] = output{layer.Bytes, img.Created, layer.Write}
	}
	m, err := addDocument(members, manifest.MediaType, manifest)
	m.Platform = &img.Platform
	return m, item, err
}

// addIndex adds the index of an image for several platforms. Who reads
// manifest.json only finds the main one.
func addIndex(members map[string]output, main ocispec.Descriptor, others []Saved) (ocispec.Descriptor, error) {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{main}}
	for _, other := range others {
		m, _, err := addImage(members, other)
		if err != nil {
			return m, err
		}
		index.Manifests = append(index.Manifests, m)
	}
	return addDocument(members, index.MediaType, index)
}

func addDocument(members map[string]output, mediaType string, doc any) (ocispec.Descriptor, error) {
	data, err := json.Marshal(doc)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	members[blobName(d)] = content(data, epoch)
	return d, nil
}

func splitTag(name string) (reference.NamedTagged, error) {
	ref, err := reference.Parse(name)
	if err != nil {
		return nil, err
	}
	tagged, ok := ref.(reference.NamedTagged)
	if !ok {
		return nil, fmt.Errorf("image name %q has no tag", name)
	}
	return tagged, nil
}
