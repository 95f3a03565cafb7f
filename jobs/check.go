package jobs

import "github.com/jobengine/engine/engine"

// SystemCheck looks for damage and for what nobody owns.
var SystemCheck = engine.Define[SystemCheckIn, SystemCheckOut]("system_check")

// SystemCheckIn says whether to repair what can be repaired without losing an object,
// and whether to read the files of all layers.
type SystemCheckIn struct{ Repair, Full bool }

// SystemCheckOut lists what was found; never nil.
type SystemCheckOut struct{ Findings []Finding }

// Finding is one thing that is not as it should be.
type Finding struct {
	Kind     string // container, image, layer, file, mount, cgroup
	Object   string // its id or path
	Problem  string
	Action   string // what repair did, or what the user can do
	Repaired bool
}
