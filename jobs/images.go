package jobs

import (
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/registry"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/filters"
)

// The jobs of images. An image is named by a reference (busybox, busybox:1.36,
// name@sha256:…), its id, or a unique prefix of its id. Progress on Stdout is a
// stream of JSON objects, one a line (github.com/moby/moby/api/types/jsonstream).
var (
	Import       = engine.DefineStream[ImportIn, ImportOpen, ImportOut]("import")
	Save         = engine.DefineStream[SaveIn, SaveOpen, SaveOut]("image_export")
	Load         = engine.DefineStream[LoadIn, LoadOpen, LoadOut]("load")
	Pull         = engine.DefineStream[PullIn, PullOpen, PullOut]("pull")
	ImageVerify  = engine.Define[ImageVerifyIn, ImageVerifyOut]("image_verify", engine.Quiet)
	Images       = engine.Define[ImagesIn, ImagesOut]("images", engine.Quiet)
	Tag          = engine.Define[TagIn, TagOut]("tag")
	ImageDelete  = engine.Define[ImageDeleteIn, ImageDeleteOut]("image_delete")
	ImageInspect = engine.Define[ImageInspectIn, ImageInspectOut]("image_inspect", engine.Quiet)
	History      = engine.Define[HistoryIn, HistoryOut]("history", engine.Quiet)
)

// ImportIn makes an image of one layer from a tar of a root file system.
// Source "-" is Stdin, else an http or https URL. Changes are Dockerfile lines.
type ImportIn struct {
	Source     string `job:"arg"`
	Repository string `job:"arg"`
	Tag        string `job:"arg"`
	Message    string
	Changes    []string
	Platform   string
}

// ImportOpen says that the input is well-formed and progress follows.
type ImportOpen struct{}

// ImportOut has the image's id, "sha256:…".
type ImportOut struct{ ID string }

// LoadIn reads images from a tar on Stdin: docker-archive or OCI layout.
// Platforms are "os/arch[/variant]"; none is all that are there.
type LoadIn struct {
	Quiet     bool
	Platforms []string
}

// LoadOpen says that progress follows.
type LoadOpen struct{}

// LoadOut lists what was loaded: references, or ids of images without one.
type LoadOut struct{ Loaded []string }

// SaveIn writes images to Stdout as a tar that is an OCI layout and a
// docker-archive at once. A name without a tag is all tags of the repository.
// Platforms are "os/arch[/variant]", of which each image must be for one.
type SaveIn struct {
	Images    []string `job:"arg"`
	Platforms []string
}

// SaveOpen says that all images are there and the tar follows.
type SaveOpen struct{}

// SaveOut is empty.
type SaveOut struct{}

// PullIn fetches an image from a registry. Tag is a tag or a digest; with All every tag.
type PullIn struct {
	Image    string `job:"arg"`
	Tag      string `job:"arg"`
	All      bool
	Platform string
	Auth     *registry.AuthConfig
}

// PullOpen says that the registry knows the image and progress follows.
type PullOpen struct{}

// PullOut is empty.
type PullOut struct{}

// ImageVerifyIn is an image that a registry offers, before anything of it is
// fetched. An error keeps it out. As it comes the job lets everything in; who
// wants to look at signatures replaces or wraps it. What is published afterwards
// is what these digests say, to the last byte.
type ImageVerifyIn struct {
	Reference     string `job:"arg"` // canonical: docker.io/library/busybox:latest
	Digest        string `job:"arg"` // of what the reference stands for, perhaps an index
	MediaType     string
	Manifest      []byte
	ImageDigest   string // of the manifest for the platform: the same if there is no index
	ImageManifest []byte
}

// ImageVerifyOut is empty.
type ImageVerifyOut struct{}

// ImagesIn selects images. All includes those without a name that others build on.
type ImagesIn struct {
	All        bool
	Digests    bool
	SharedSize bool
	Manifests  bool
	Filters    filters.Args
}

// ImagesOut is newest first and never nil.
type ImagesOut struct{ Images []image.Summary }

// TagIn gives an image a further name.
type TagIn struct {
	Image      string `job:"arg"`
	Repository string `job:"arg"`
	Tag        string `job:"arg"`
}

// TagOut is empty.
type TagOut struct{}

// ImageDeleteIn removes a name, and the image with the last one. NoPrune keeps
// unnamed parents.
type ImageDeleteIn struct {
	Image   string `job:"arg"`
	Force   bool
	NoPrune bool
	// Platforms are "os/arch[/variant]": only what the name is for them goes. None is all of it.
	Platforms []string
}

// ImageDeleteOut lists what was untagged and deleted, in order.
type ImageDeleteOut struct{ Items []image.DeleteResponse }

// ImageInspectIn names an image. Builder asks for what its config says of the
// container that it was made from.
type ImageInspectIn struct {
	Image    string `job:"arg"`
	Platform string
	Builder  bool
}

// ImageInspectOut is all there is to know of an image. ParentID is "" where it
// is not known. What follows are traces of docker's former builder in images
// that it made, "" and nil in others.
type ImageInspectOut struct {
	image.InspectResponse
	ParentID        string
	DockerVersion   string
	Container       string
	ContainerConfig *container.Config
}

// HistoryIn names an image.
type HistoryIn struct {
	Image    string `job:"arg"`
	Platform string
}

// HistoryOut is newest first.
type HistoryOut struct{ Items []image.HistoryResponseItem }
