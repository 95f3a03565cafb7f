package images

import (
	"context"
	"fmt"

	"github.com/containerd/platforms"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/errs"
)

// Image is an image as containers see it. It is shared: nobody changes it.
type Image struct {
	ID        string // "sha256:…"
	Config    dockerspec.DockerOCIImage
	RepoTags  []string // as people write them
	SizeBytes int64
	// Warning is for whoever makes a container of it: its platform is not the
	// host's. "" if it is, or if the platform was asked for.
	Warning string
}

// Lookup finds an image by reference, id or unique prefix of an id. An image of
// another platform than the one that is given ("os/arch[/variant]", "" for any)
// is not found. A damaged image is data loss, and cannot be used.
func (i *Images) Lookup(ctx context.Context, ref, platform string) (Image, error) {
	img, err := i.findFor(ref, platform)
	for err == nil && !i.claimed(ctx, img.ID) {
		if err = ctx.Err(); err == nil {
			img, err = i.findFor(ref, platform)
		}
	}
	if err != nil {
		return Image{}, err
	}
	out := Image{ID: img.ID.String(), Config: img.Config, RepoTags: img.Tags, SizeBytes: img.SizeBytes}
	if platform == "" {
		out.Warning = platformWarning(platformOf(img))
	}
	return out, nil
}

// Parent gives the graph layer on which containers of an image are put: its
// init layer, made if need be. The container is among the image's users by now.
func (i *Images) Parent(ctx context.Context, imageID string) (layer string, err error) {
	layer, err = i.store.InitLayer(ctx, digest.Digest(imageID))
	if err == nil {
		i.store.Used(digest.Digest(imageID))
	}
	return layer, err
}

func usable(img *store.Image) error {
	if img.Damage == nil {
		return nil
	}
	return errs.DataLoss("image %s is damaged: %v; remove it or load it again", img.ID, img.Damage)
}

func platformOf(img *store.Image) ocispec.Platform {
	return platforms.Normalize(ocispec.Platform{
		OS: img.Config.OS, Architecture: img.Config.Architecture, Variant: img.Config.Variant,
	})
}

func platformWarning(p ocispec.Platform) string {
	host := platforms.DefaultSpec()
	if platforms.Only(host).Match(p) {
		return ""
	}
	return fmt.Sprintf("The requested image's platform (%s) does not match the detected host platform (%s) and no specific platform was requested",
		platforms.FormatAll(p), platforms.FormatAll(host))
}
