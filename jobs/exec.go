package jobs

import (
	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/engine"
)

// The jobs of exec: further processes in a running container. An exec is named by its full id.
var (
	ExecCreate  = engine.Define[ExecCreateIn, ExecCreateOut]("execCreate")
	ExecStart   = engine.DefineStream[ExecStartIn, ExecStartOpen, ExecStartOut]("execStart", engine.Endless)
	ExecResize  = engine.Define[ExecResizeIn, ExecResizeOut]("execResize")
	ExecInspect = engine.Define[ExecInspectIn, ExecInspectOut]("execInspect", engine.Quiet)
)

// ExecCreateIn describes a process to run in a container.
type ExecCreateIn struct {
	Container string `job:"arg"`
	container.ExecCreateRequest
}

// ExecCreateOut has the id.
type ExecCreateOut struct{ container.ExecCreateResponse }

// ExecStartIn starts an exec and connects to it, unless Detach. ConsoleSize is
// height and width in characters.
type ExecStartIn struct {
	Exec        string `job:"arg"`
	Detach      bool
	Tty         bool
	ConsoleSize *[2]uint
}

// ExecStartOpen says that the exec is known and can be started.
type ExecStartOpen struct{ Tty bool }

// ExecStartOut is empty.
type ExecStartOut struct{}

// ExecResizeIn sets the size of an exec's terminal in characters.
type ExecResizeIn struct {
	Exec   string `job:"arg"`
	Height uint16 `job:"arg"`
	Width  uint16 `job:"arg"`
}

// ExecResizeOut is empty.
type ExecResizeOut struct{}

// ExecInspectIn names an exec.
type ExecInspectIn struct {
	Exec string `job:"arg"`
}

// ExecInspectOut is the state of an exec; ExitCode is nil until it has ended.
type ExecInspectOut struct{ container.ExecInspectResponse }
