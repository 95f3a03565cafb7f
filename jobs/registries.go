package jobs

import (
	"github.com/moby/moby/api/types/registry"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/filters"
)

// The jobs that deal with registries, besides pull. Credentials are in their
// input and in no log line.
var (
	Push                = engine.DefineStream[PushIn, PushOpen, PushOut]("push")
	Auth                = engine.Define[AuthIn, AuthOut]("auth")
	Search              = engine.Define[SearchIn, SearchOut]("search")
	ManifestInspect     = engine.Define[ManifestInspectIn, ManifestInspectOut]("manifest_inspect")
	DistributionInspect = engine.Define[DistributionInspectIn, DistributionInspectOut]("distribution_inspect")
)

// PushIn uploads an image under the name that it has; without Tag all tags of
// the repository. Progress on Stdout is as for pull.
type PushIn struct {
	Image    string `job:"arg"`
	Tag      string `job:"arg"`
	Platform string // that the image must be for; "" is any
	Auth     *registry.AuthConfig
}

// PushOpen says that progress follows.
type PushOpen struct{}

// PushOut is empty.
type PushOut struct{}

// AuthIn asks a registry whether credentials are good.
type AuthIn struct{ Auth registry.AuthConfig }

// AuthOut says yes. IdentityToken stands for the password from now on, if it is
// not "".
type AuthOut struct{ Status, IdentityToken string }

// SearchIn asks a registry for repositories. Limit 0 is 25.
type SearchIn struct {
	Term    string `job:"arg"`
	Limit   int
	Filters filters.Args
	Auth    *registry.AuthConfig
}

// SearchOut is in the registry's order and never nil.
type SearchOut struct{ Results []registry.SearchResult }

// DistributionInspectIn names an image in a registry.
type DistributionInspectIn struct {
	Image string `job:"arg"`
	Auth  *registry.AuthConfig
}

// DistributionInspectOut is what the registry says of it.
type DistributionInspectOut struct{ registry.DistributionInspect }

// ManifestInspectIn names an image in a registry.
type ManifestInspectIn struct {
	Image string `job:"arg"`
	Auth  *registry.AuthConfig
}

// ManifestInspectOut is the manifest or index as the registry has it.
type ManifestInspectOut struct {
	MediaType, Digest string
	Manifest          []byte
}
