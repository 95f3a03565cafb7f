package jobs

import "github.com/jobengine/engine/engine"

// The jobs about the supervisor.
var (
	SupervisorUpgrade = engine.Define[SupervisorUpgradeIn, SupervisorUpgradeOut]("supervisor_upgrade")
)

// SupervisorUpgradeIn is empty. The supervisor becomes the program that the
// daemon would start now, in place; a daemon that starts sees to that by itself.
type SupervisorUpgradeIn struct{}

// SupervisorUpgradeOut tells what the supervisor is now.
type SupervisorUpgradeOut struct {
	Pid   int
	Build string
}
