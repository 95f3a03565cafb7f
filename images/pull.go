package images

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/images/registry"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/reference"
	"github.com/jobengine/engine/jobs"
)

// pull fetches an image, or all of a repository. References become manifests
// here, manifests become images in fetchimage.go.
func (i *Images) pull(ctx context.Context, job *engine.StreamJob[jobs.PullOpen], in jobs.PullIn) (jobs.PullOut, error) {
	defer i.collectSoon()
	none := jobs.PullOut{}
	ref, err := pulledReference(in)
	if err != nil {
		return none, err
	}
	p := &puller{Images: i, ref: ref, out: newAnswer(func() error { return job.Open(jobs.PullOpen{}) }, &job.Streams)}
	defer p.out.close()
	if in.Platform != "" {
		want, err := platforms.Parse(in.Platform)
		if err != nil {
			return none, errs.Invalid("%v", err)
		}
		p.platform = &want
	}
	err = i.client.Load().Each(ctx, ref, in.Auth, registry.ActionPull, func(repo *registry.Repository) error {
		return p.pullFrom(ctx, repo, in.All)
	})
	if err != nil {
		return none, registry.Explain(err, ref)
	}
	return none, nil
}

// pulledReference is the name with the tag or digest that is asked for; without
// either, all of the repository.
func pulledReference(in jobs.PullIn) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(in.Image)
	if err != nil {
		return nil, errs.Invalid("%v", err)
	}
	if name := reference.FamiliarName(named); name == "scratch" {
		return nil, errs.Forbidden("'%s' is a reserved name", name)
	}
	if in.Tag != "" {
		named = reference.TrimNamed(named)
		if d, derr := digest.Parse(in.Tag); derr == nil {
			named, err = reference.WithDigest(named, d)
		} else {
			named, err = reference.WithTag(named, in.Tag)
		}
		if err != nil {
			return nil, errs.Invalid("%v", err)
		}
	}
	if in.All {
		return reference.TrimNamed(named), nil
	}
	return reference.TagNameOnly(named), nil
}

// puller is one pull of one client.
type puller struct {
	*Images
	ref      reference.Named // as it was asked for
	platform *ocispec.Platform
	out      *answer
}

func (p *puller) pullFrom(ctx context.Context, repo *registry.Repository, all bool) error {
	refs := []reference.Named{p.ref}
	if all {
		tags, err := repo.Tags(ctx)
		if err != nil {
			return err
		}
		refs = nil
		for _, tag := range tags {
			tagged, err := reference.WithTag(p.ref, tag)
			if err != nil {
				return errs.Invalid("the registry lists an invalid tag: %v", err)
			}
			refs = append(refs, tagged)
		}
	}
	changed := false
	for _, ref := range refs {
		updated, err := p.pullOne(ctx, repo, ref)
		if err != nil {
			return err
		}
		changed = changed || updated
	}
	text := "Status: Image is up to date for "
	if changed {
		text = "Status: Downloaded newer image for "
	}
	return p.out.send(jsonstream.Message{Status: text + familiar(p.ref)})
}

// pullOne brings one reference up to date and tells whether that was needed.
func (p *puller) pullOne(ctx context.Context, repo *registry.Repository, ref reference.Named) (updated bool, err error) {
	wanted, shown := "", ""
	switch r := ref.(type) {
	case reference.Digested:
		wanted, shown = r.Digest().String(), ref.String()
	case reference.Tagged:
		// The digest of a tag is cheap to have, and what it stands for does not
		// change under our eyes. Not every registry says it.
		wanted, shown = r.Tag(), r.Tag()
		d, err := repo.Head(ctx, wanted)
		if registry.IsLocked(err) {
			return false, err
		}
		if err == nil {
			wanted = d.Digest.String()
		}
	}
	top, err := repo.Manifest(ctx, wanted)
	if errors.Is(err, registry.ErrSchema1) {
		if serr := p.out.send(jsonstream.Message{ID: shown, Status: "Pulling from " + registry.Path(ref)}); serr != nil {
			return false, serr
		}
	}
	if err != nil {
		return false, err
	}
	if err := p.out.send(jsonstream.Message{ID: shown, Status: "Pulling from " + registry.Path(ref)}); err != nil {
		return false, err
	}
	manifest, err := repo.Image(ctx, top, p.platform)
	if err != nil {
		return false, registry.Settled(err)
	}
	if err := p.verify(ctx, ref, top, manifest); err != nil {
		return false, registry.Settled(err)
	}
	names, err := namesOf(ref, top.Digest)
	if err != nil {
		return false, err
	}
	old := p.store.Snapshot().ByName(canonical(ref))
	img, err := p.bring(ctx, repo, top, manifest, names)
	for again := 0; errors.Is(err, errVanished) && again < 5; again++ {
		img, err = p.bring(ctx, repo, top, manifest, names)
	}
	if err != nil {
		return false, err
	}
	updated = old == nil || old.ID != img.ID
	if err := p.out.send(jsonstream.Message{Status: "Digest: " + top.Digest.String()}); err != nil {
		return false, err
	}
	p.Events.Log(events.ImageEventType, events.ActionPull, familiar(ref), eventAttributes(img, reference.FamiliarName(ref)))
	return updated, nil
}

// verify lets a third party's job look at what is about to come in.
func (p *puller) verify(ctx context.Context, ref reference.Named, top, manifest *registry.Manifest) error {
	_, err := jobs.ImageVerify.Run(ctx, p.eng, jobs.ImageVerifyIn{
		Reference: ref.String(), Digest: top.Digest.String(), MediaType: top.MediaType, Manifest: top.Raw,
		ImageDigest: manifest.Digest.String(), ImageManifest: manifest.Raw,
	})
	if err != nil {
		return fmt.Errorf("image %s is refused: %w", familiar(ref), err)
	}
	return nil
}

// verifyAll is the job image_verify as it comes: everything is welcome.
func verifyAll(context.Context, *engine.Job, jobs.ImageVerifyIn) (jobs.ImageVerifyOut, error) {
	return jobs.ImageVerifyOut{}, nil
}

// namesOf gives the names under which a pulled image is kept: that which was
// asked for, and its digest.
func namesOf(ref reference.Named, top digest.Digest) ([]string, error) {
	byDigest, err := reference.WithDigest(reference.TrimNamed(ref), top)
	if err != nil {
		return nil, err
	}
	names := []string{byDigest.String()}
	if name := canonical(ref); !slices.Contains(names, name) {
		names = append(names, name)
	}
	return names, nil
}

// errVanished says that somebody removed an image while it was pulled.
var errVanished = errs.NotFound("No such image: it was removed while it was pulled")

// bring makes the image of a manifest be there under the names.
func (p *puller) bring(ctx context.Context, repo *registry.Repository, top, manifest *registry.Manifest, names []string) (*store.Image, error) {
	origin := &store.Origin{Repository: repo.Name().Name(), MediaType: manifest.MediaType, Manifest: manifest.Raw}
	id := manifest.Config.Digest
	if img := p.store.Snapshot().ByID(id); img == nil || img.Damage != nil {
		key := transferKey{repo.Name().Name(), top.Digest, manifest.Digest}
		err := p.transfers.join(ctx, key, func(m jsonstream.Message) { _ = p.out.send(m) }, func(ctx context.Context, tell func(jsonstream.Message)) error {
			f := &fetching{Images: p.Images, repo: repo, manifest: manifest, tell: tell}
			return f.run(ctx, names, origin)
		})
		if err != nil {
			return nil, err
		}
	} else {
		p.store.AddOrigin(id, *origin)
	}
	// A process that ended between the image and the end of its downloads has
	// left them.
	for _, layer := range manifest.Layers {
		p.blobs.Forget(layer.Digest)
	}
	for _, name := range names {
		if img := p.store.Snapshot().ByName(name); img == nil || img.ID != id {
			if _, err := p.store.SetName(id, name, p.Clock.Now().UTC()); errdefs.IsNotFound(err) {
				return nil, errVanished
			} else if err != nil {
				return nil, err
			}
		}
	}
	img := p.store.Snapshot().ByID(id)
	if img == nil {
		return nil, errVanished
	}
	return img, nil
}

// checkRunnable refuses images of other operating systems: their layers are not ours.
func checkRunnable(img *store.Image) error {
	if os := img.Config.OS; os != "" && os != runtime.GOOS {
		return errs.Invalid("image operating system %q cannot be used on this platform", os)
	}
	return nil
}
