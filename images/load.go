package images

import (
	"context"
	"fmt"
	"io"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/images/bundle"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/jobs"
)

// load reads images from an archive. Each is listed when all of it is durable;
// those before a faulty one stay.
func (i *Images) load(ctx context.Context, job *engine.StreamJob[jobs.LoadOpen], in jobs.LoadIn) (jobs.LoadOut, error) {
	defer i.collectSoon()
	wanted, err := parsePlatforms(in.Platforms)
	if err != nil {
		return jobs.LoadOut{}, err
	}
	if err := job.Open(jobs.LoadOpen{}); err != nil {
		return jobs.LoadOut{}, err
	}
	p := newProgress(job.Stdout)
	defer p.close()
	spool, err := bundle.Read(ctx, i.FS, durable.TempName(i.store.TempDir()), job.Stdin, i.MaxArchiveBytes)
	if err != nil {
		return jobs.LoadOut{}, err
	}
	defer spool.Close()
	found, err := spool.Images(ctx, wanted)
	if err != nil {
		return jobs.LoadOut{}, err
	}
	// All configs are looked at before anything is unpacked.
	for _, img := range found {
		if _, err := store.ParseConfig(img.Config); err != nil {
			return jobs.LoadOut{}, err
		}
	}
	out := jobs.LoadOut{Loaded: []string{}}
	var main digest.Digest
	for _, img := range found {
		if !img.Beside {
			main = digest.FromBytes(img.Config)
		}
		loaded, err := i.loadImage(ctx, p, img, main, in.Quiet)
		if err != nil {
			return out, err
		}
		out.Loaded = append(out.Loaded, loaded...)
	}
	return out, nil
}

// loadImage brings in one image of an archive and tells its names, or its id,
// unless it is beside the main one.
func (i *Images) loadImage(ctx context.Context, p *progress, img bundle.Image, main digest.Digest, quiet bool) ([]string, error) {
	sources := make([]store.Source, len(img.Layers))
	for n, layer := range img.Layers {
		sources[n] = store.Source{DiffID: layer.DiffID, Open: layer.Open, Done: layer.Done}
		if !quiet {
			sources[n].Open = func(ctx context.Context) (io.ReadCloser, error) {
				r, err := layer.Open(ctx)
				if err != nil {
					return nil, err
				}
				return p.reader(r, "Loading layer", shortID(layer.DiffID.String()), layer.Size), nil
			}
		}
	}
	lease, err := i.store.Unpack(ctx, sources)
	if err != nil {
		return nil, err
	}
	n := store.NewImage{Config: img.Config, Names: img.Names}
	if img.Beside {
		n.Beside = main
	}
	published, err := i.store.Publish(n, lease)
	lease.Release()
	if err != nil {
		return nil, err
	}
	id := published.Image.ID.String()
	i.tell(events.ActionLoad, id, published.Image, id)
	var loaded []string
	for _, name := range img.Names {
		text := familiarName(name)
		if old, ok := published.Moved[name]; ok {
			p.send(jsonstream.Message{Stream: fmt.Sprintf("The image %s already exists, renaming the old one with ID %s to empty string\n", text, old)})
		}
		p.send(jsonstream.Message{Stream: "Loaded image: " + text + "\n"})
		loaded = append(loaded, text)
	}
	if len(loaded) == 0 && !img.Beside {
		p.send(jsonstream.Message{Stream: "Loaded image ID: " + id + "\n"})
		loaded = []string{id}
	}
	return loaded, nil
}
