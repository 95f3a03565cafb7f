package jobs

import (
	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/engine"
)

// The jobs of a container's file system.
var (
	Commit           = engine.Define[CommitIn, CommitOut]("commit")
	ContainerChanges = engine.Define[ContainerChangesIn, ContainerChangesOut]("container_changes", engine.Quiet)
	Export           = engine.DefineStream[ExportIn, ExportOpen, ExportOut]("export")
)

// CommitIn makes an image of what a container has changed. Config is in place of
// the container's own, nil for none; Changes are Dockerfile lines. A running
// container is paused meanwhile, unless NoPause.
type CommitIn struct {
	Container  string `job:"arg"`
	Repository string `job:"arg"`
	Tag        string `job:"arg"`
	Author     string
	Comment    string
	Changes    []string
	Config     *container.Config
	NoPause    bool
}

// CommitOut has the image's id, "sha256:…".
type CommitOut struct{ ID string }

// ContainerChangesIn names a container.
type ContainerChangesIn struct {
	Container string `job:"arg"`
}

// ContainerChangesOut lists what differs from the image, sorted by path; nil if nothing does.
type ContainerChangesOut struct{ Changes []container.FilesystemChange }

// ExportIn writes a container's whole tree to Stdout as a tar.
type ExportIn struct {
	Container string `job:"arg"`
}

// ExportOpen says that the container is there and the tar follows.
type ExportOpen struct{}

// ExportOut is empty.
type ExportOut struct{}
