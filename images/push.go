package images

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/images/registry"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/reference"
	"github.com/jobengine/engine/jobs"
)

// push uploads an image, or all tags of a repository. A layer that the registry
// has is left out, one that another of its repositories has is mounted, and an
// image that came from a registry keeps its manifest, and so its digest.
func (i *Images) push(ctx context.Context, job *engine.StreamJob[jobs.PushOpen], in jobs.PushIn) (jobs.PushOut, error) {
	none := jobs.PushOut{}
	named, err := reference.ParseNormalizedNamed(in.Image)
	if err != nil {
		return none, errs.Invalid("%v", err)
	}
	if in.Tag != "" {
		if named, err = reference.WithTag(reference.TrimNamed(named), in.Tag); err != nil {
			return none, errs.Invalid("%v", err)
		}
	}
	if _, ok := named.(reference.Digested); ok {
		return none, errs.Invalid("cannot push a digest reference")
	}
	p := &pusher{Images: i, ref: named, out: newAnswer(func() error { return job.Open(jobs.PushOpen{}) }, &job.Streams)}
	defer p.out.close()
	if in.Platform != "" {
		want, err := platforms.Parse(in.Platform)
		if err != nil {
			return none, errs.Invalid("%v", err)
		}
		p.platform = &want
	}
	if err := p.out.send(jsonstream.Message{Status: fmt.Sprintf("The push refers to repository [%s]", named.Name())}); err != nil {
		return none, err
	}
	if err := p.pick(); err != nil {
		return none, err
	}
	p.known = i.knownBlobs()
	err = i.client.Load().Each(ctx, named, in.Auth, registry.ActionPush, func(repo *registry.Repository) error {
		for _, ref := range p.refs {
			if err := p.pushOne(ctx, repo, ref); err != nil {
				return err
			}
		}
		return nil
	})
	return none, registry.Bare(err)
}

// pusher is one push of one client.
type pusher struct {
	*Images
	ref      reference.Named
	refs     []reference.NamedTagged
	platform *ocispec.Platform
	out      *answer
	known    map[digest.Digest][]knownBlob // by diff id
}

// pick finds what is to be pushed. The sentences are docker's.
func (p *pusher) pick() error {
	snap := p.store.Snapshot()
	tags := tagsOf(snap, p.ref.Name())
	if len(tags) == 0 {
		return fmt.Errorf("An image does not exist locally with the tag: %s", reference.FamiliarName(p.ref))
	}
	if tagged, ok := p.ref.(reference.NamedTagged); ok {
		if snap.ByName(tagged.String()) == nil {
			return fmt.Errorf("tag does not exist: %s", familiar(tagged))
		}
		p.refs = []reference.NamedTagged{tagged}
		return nil
	}
	for _, name := range tags {
		ref, err := reference.Parse(name)
		if err != nil {
			return err
		}
		if tagged, ok := ref.(reference.NamedTagged); ok {
			p.refs = append(p.refs, tagged)
		}
	}
	return nil
}

// knownBlob is a blob that a layer is in some registry.
type knownBlob struct {
	ocispec.Descriptor
	repository string // as references have it
}

// knownBlobs gathers from the origins of all images which blobs layers are.
func (i *Images) knownBlobs() map[digest.Digest][]knownBlob {
	known := map[digest.Digest][]knownBlob{}
	for _, img := range i.store.Snapshot().Images {
		for _, o := range i.store.Origins(img.ID) {
			m, err := registry.ParseManifest(o.Manifest, o.MediaType)
			if err != nil || len(m.Layers) != len(img.Config.RootFS.DiffIDs) {
				continue
			}
			for n, d := range m.Layers {
				diffID := img.Config.RootFS.DiffIDs[n]
				known[diffID] = append(known[diffID], knownBlob{d, o.Repository})
			}
		}
	}
	return known
}

// pushOne brings one tag to the registry.
func (p *pusher) pushOne(ctx context.Context, repo *registry.Repository, ref reference.NamedTagged) error {
	img := p.store.Snapshot().ByName(ref.String())
	if img == nil {
		return fmt.Errorf("tag does not exist: %s", familiar(ref))
	}
	img, err := forPlatform(p.store.Snapshot(), img, familiar(ref), p.platform)
	if err != nil {
		return err
	}
	lease, err := p.store.Lease(img)
	if err != nil {
		return err
	}
	defer lease.Release()
	// The lease keeps the layers, whoever removes the image meanwhile, but not its config.
	config, err := p.store.RawConfig(img)
	if err != nil {
		if errdefs.IsNotFound(err) {
			return fmt.Errorf("tag does not exist: %s", familiar(ref))
		}
		return err
	}
	model := p.model(img)
	layers, err := p.pushLayers(ctx, repo, img, model)
	if err != nil {
		return err
	}
	if _, have, err := repo.HasBlob(ctx, img.ID); err != nil {
		return err
	} else if !have {
		if err := repo.PutBlob(ctx, config); err != nil {
			return err
		}
	}
	m, err := manifestFor(model, img, int64(len(config)), layers)
	if err != nil {
		return err
	}
	if err := repo.PutManifest(ctx, ref.Tag(), m.MediaType, m.Raw); err != nil {
		return err
	}
	return p.pushed(img, ref, m)
}

// pushed writes down and tells where the image is now.
func (p *pusher) pushed(img *store.Image, ref reference.NamedTagged, m *registry.Manifest) error {
	p.store.AddOrigin(img.ID, store.Origin{Repository: ref.Name(), MediaType: m.MediaType, Manifest: m.Raw})
	byDigest, err := reference.WithDigest(reference.TrimNamed(ref), m.Digest)
	if err != nil {
		return err
	}
	if have := p.store.Snapshot().ByName(byDigest.String()); have == nil || have.ID != img.ID {
		if _, err := p.store.SetName(img.ID, byDigest.String(), img.LastTagged); err != nil && !errdefs.IsNotFound(err) {
			return err // but that it is gone here is no matter to the registry
		}
	}
	if err := p.out.send(jsonstream.Message{Status: fmt.Sprintf("%s: digest: %s size: %d", ref.Tag(), m.Digest, len(m.Raw))}); err != nil {
		return err
	}
	aux, err := json.Marshal(struct {
		Tag    string
		Digest digest.Digest
		Size   int
	}{ref.Tag(), m.Digest, len(m.Raw)})
	if err != nil {
		return err
	}
	raw := json.RawMessage(aux)
	if err := p.out.send(jsonstream.Message{Progress: &jsonstream.Progress{}, Aux: &raw}); err != nil {
		return err
	}
	p.Events.Log(events.ImageEventType, events.ActionPush, familiar(ref), eventAttributes(img, reference.FamiliarName(ref)))
	return nil
}

// model is the manifest that the image should get again: that of the repository
// it goes to, else of the registry, else the newest; nil for an image that was
// made here.
func (p *pusher) model(img *store.Image) *registry.Manifest {
	var best *registry.Manifest
	rank := -1
	domain := registry.Domain(p.ref) + "/"
	for _, o := range p.store.Origins(img.ID) {
		r := 0
		switch {
		case o.Repository == p.ref.Name():
			r = 2
		case strings.HasPrefix(o.Repository, domain):
			r = 1
		}
		if r <= rank {
			continue
		}
		if m, err := registry.ParseManifest(o.Manifest, o.MediaType); err == nil && len(m.Layers) == len(img.Chain) && m.Config.Digest == img.ID {
			best, rank = m, r
		}
	}
	return best
}

// manifestFor gives the model if it is true of the layers as they were pushed,
// else makes a manifest of its kind.
func manifestFor(model *registry.Manifest, img *store.Image, configBytes int64, layers []ocispec.Descriptor) (*registry.Manifest, error) {
	oci := false
	if model != nil {
		same := true
		for n, d := range layers {
			same = same && d.Digest == model.Layers[n].Digest
		}
		if same {
			return model, nil
		}
		oci = model.MediaType == ocispec.MediaTypeImageManifest
	}
	for _, d := range layers { // Docker's kind knows gzip only
		oci = oci || strings.Contains(d.MediaType, "zstd") || strings.HasSuffix(d.MediaType, ".tar") && strings.Contains(d.MediaType, ".oci.")
	}
	made := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: registry.DockerManifest, Layers: []ocispec.Descriptor{}}
	made.Config = ocispec.Descriptor{MediaType: registry.DockerConfig, Size: configBytes, Digest: img.ID}
	if oci {
		made.MediaType, made.Config.MediaType = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig
	}
	for _, d := range layers {
		d.MediaType = registry.LayerType(d.MediaType, oci)
		d.Annotations, d.Platform = nil, nil
		made.Layers = append(made.Layers, d)
	}
	// Indented by three, as Docker does it: the same image gets the same digest.
	raw, err := json.MarshalIndent(dockerOrder(made), "", "   ")
	if err != nil {
		return nil, err
	}
	return registry.ParseManifest(raw, made.MediaType)
}

// dockerOrder is a manifest with its fields in Docker's order.
func dockerOrder(m ocispec.Manifest) any {
	type descriptor struct {
		MediaType string        `json:"mediaType"`
		Size      int64         `json:"size"`
		Digest    digest.Digest `json:"digest"`
		URLs      []string      `json:"urls,omitempty"`
	}
	out := struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}{2, m.MediaType, descriptor{m.Config.MediaType, m.Config.Size, m.Config.Digest, nil}, []descriptor{}}
	for _, l := range m.Layers {
		out.Layers = append(out.Layers, descriptor{l.MediaType, l.Size, l.Digest, l.URLs})
	}
	return out
}

// pushLayers brings all layers there, several at a time, each once.
func (p *pusher) pushLayers(ctx context.Context, repo *registry.Repository, img *store.Image, model *registry.Manifest) ([]ocispec.Descriptor, error) {
	diffIDs := img.Config.RootFS.DiffIDs
	type result struct {
		d       ocispec.Descriptor
		started bool
	}
	results := map[digest.Digest]*result{}
	for n := len(diffIDs) - 1; n >= 0; n-- {
		if results[diffIDs[n]] == nil {
			results[diffIDs[n]] = &result{}
			if err := p.out.send(layerMessage(diffIDs[n], "Preparing", &jsonstream.Progress{})); err != nil {
				return nil, err
			}
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for n := len(diffIDs) - 1; n >= 0; n-- {
		var hint *ocispec.Descriptor
		if model != nil {
			hint = &model.Layers[n]
		}
		r := results[diffIDs[n]]
		if r.started {
			continue
		}
		r.started = true
		g.Go(func() error {
			release, err := p.slot(ctx, diffIDs[n])
			if err != nil {
				return err
			}
			defer release()
			l := &layerPush{pusher: p, repo: repo, diffID: diffIDs[n], chain: img.Chain[n], hint: hint}
			r.d, err = l.run(ctx)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	layers := make([]ocispec.Descriptor, len(diffIDs))
	for n, diffID := range diffIDs {
		layers[n] = results[diffID].d
	}
	return layers, nil
}

// slot waits for one of the uploads that may run at the same time.
func (p *pusher) slot(ctx context.Context, diffID digest.Digest) (release func(), err error) {
	room := *p.uploading.Load()
	select {
	case room <- struct{}{}:
	default:
		if err := p.out.send(layerMessage(diffID, "Waiting", &jsonstream.Progress{})); err != nil {
			return nil, err
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return func() { <-room }, nil
}
