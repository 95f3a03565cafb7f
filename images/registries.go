package images

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/containerd/errdefs"
	api "github.com/moby/moby/api/types/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/images/registry"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/reference"
	"github.com/jobengine/engine/jobs"
)

// login asks a registry whether credentials are good.
func (i *Images) login(ctx context.Context, _ *engine.Job, in jobs.AuthIn) (jobs.AuthOut, error) {
	identity, err := i.client.Load().Login(ctx, in.Auth)
	if err != nil {
		return jobs.AuthOut{}, err
	}
	return jobs.AuthOut{Status: "Login Succeeded", IdentityToken: identity}, nil
}

// search asks a registry for repositories, and leaves out what filters do.
func (i *Images) search(ctx context.Context, _ *engine.Job, in jobs.SearchIn) (jobs.SearchOut, error) {
	none := jobs.SearchOut{}
	if err := in.Filters.Check("is-automated", "is-official", "stars"); err != nil {
		return none, err
	}
	official, err := in.Filters.Bool("is-official", false)
	if err != nil {
		return none, err
	}
	automated, err := in.Filters.Bool("is-automated", false)
	if err != nil {
		return none, err
	}
	stars := 0
	for _, text := range in.Filters["stars"] {
		n, err := strconv.Atoi(text)
		if err != nil {
			return none, errs.Invalid("invalid filter 'stars=%s'", text)
		}
		stars = max(stars, n)
	}
	if in.Limit < 1 || in.Limit > 100 {
		return none, errs.Invalid("Limit %d is outside the range of [1, 100]", in.Limit)
	}
	found, err := i.client.Load().Search(ctx, in.Term, in.Limit, in.Auth)
	if err != nil {
		return none, err
	}
	results := slices.DeleteFunc(found.Results, func(r api.SearchResult) bool {
		return in.Filters.Has("is-official") && r.IsOfficial != official || in.Filters.Has("is-automated") && automated || r.StarCount < stars
	})
	return jobs.SearchOut{Results: append([]api.SearchResult{}, results...)}, nil
}

// remote calls use with what a registry has under a name.
func (i *Images) remote(ctx context.Context, image string, auth *api.AuthConfig, use func(*registry.Repository, *registry.Manifest) error) error {
	ref, err := reference.ParseAnyReference(image)
	if err != nil {
		return errs.Invalid("%v", err)
	}
	named, ok := ref.(reference.Named)
	if !ok {
		return errs.Invalid("unknown image reference format: %s", image)
	}
	named = reference.TagNameOnly(named)
	wanted := ""
	switch r := named.(type) {
	case reference.Digested:
		wanted = r.Digest().String()
	case reference.Tagged:
		wanted = r.Tag()
	}
	err = i.client.Load().Each(ctx, named, auth, registry.ActionPull, func(repo *registry.Repository) error {
		m, err := repo.Manifest(ctx, wanted)
		if err != nil {
			return err
		}
		return use(repo, m)
	})
	return classed(err)
}

// manifestInspect gives a manifest or an index as it is.
func (i *Images) manifestInspect(ctx context.Context, _ *engine.Job, in jobs.ManifestInspectIn) (out jobs.ManifestInspectOut, err error) {
	err = i.remote(ctx, in.Image, in.Auth, func(_ *registry.Repository, m *registry.Manifest) error {
		out = jobs.ManifestInspectOut{MediaType: m.MediaType, Digest: m.Digest.String(), Manifest: m.Raw}
		return nil
	})
	return out, err
}

// distributionInspect tells what a registry has under a name.
func (i *Images) distributionInspect(ctx context.Context, _ *engine.Job, in jobs.DistributionInspectIn) (out jobs.DistributionInspectOut, err error) {
	err = i.remote(ctx, in.Image, in.Auth, func(repo *registry.Repository, m *registry.Manifest) error {
		out.Descriptor = m.Descriptor()
		out.Platforms = []ocispec.Platform{}
		for _, d := range m.Manifests {
			if d.Platform != nil {
				out.Platforms = append(out.Platforms, *d.Platform)
			}
		}
		if m.IsIndex() {
			return nil
		}
		config, err := repo.Config(ctx, m.Config, store.MaxConfigBytes)
		if err != nil {
			return err
		}
		img, err := store.ParseConfig(config)
		if err != nil {
			return err
		}
		out.Platforms = append(out.Platforms, platformOf(img))
		return nil
	})
	return out, err
}

// classed gives a registry's refusal the class that its status has.
func classed(err error) error {
	var e *registry.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Status {
	case 401:
		return errs.As(errdefs.ErrUnauthenticated, err)
	case 403:
		return errs.As(errdefs.ErrPermissionDenied, err)
	case 404:
		return errs.As(errdefs.ErrNotFound, err)
	}
	return err
}
