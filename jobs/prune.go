package jobs

import (
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/filters"
)

// The jobs that remove what nobody uses. Two prunes of a noun do not run at the
// same time: the second is errdefs.ErrConflict.
var (
	ContainerPrune = engine.Define[ContainerPruneIn, ContainerPruneOut]("container_prune")
	ImagePrune     = engine.Define[ImagePruneIn, ImagePruneOut]("image_prune")
)

// ContainerPruneIn selects stopped containers by until, label and label!.
type ContainerPruneIn struct{ Filters filters.Args }

// ContainerPruneOut lists the ids of what was removed.
type ContainerPruneOut struct{ container.PruneReport }

// ImagePruneIn selects images by until, label, label! and dangling: true, which
// is the default, for those without a name, false for all that no container uses.
type ImagePruneIn struct{ Filters filters.Args }

// ImagePruneOut lists what was untagged and deleted, in order.
type ImagePruneOut struct{ image.PruneReport }
