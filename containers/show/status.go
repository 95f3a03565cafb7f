package show

import (
	"fmt"
	"time"

	units "github.com/docker/go-units"

	"github.com/jobengine/engine/containers/state"
)

// Status is the state as ps shows it, such as "Up 2 minutes (Paused)".
func Status(s state.State, now time.Time) string {
	switch {
	case s.Running && s.Paused:
		return "Up " + ago(s.StartedAt, now) + " (Paused)"
	case s.Restarting:
		return fmt.Sprintf("Restarting (%d) %s ago", s.ExitCode, ago(s.FinishedAt, now))
	case s.Running:
		return "Up " + ago(s.StartedAt, now)
	case s.Removing:
		return "Removal In Progress"
	case s.Dead:
		return "Dead"
	case s.StartedAt.IsZero():
		return "Created"
	case s.FinishedAt.IsZero():
		return ""
	}
	return fmt.Sprintf("Exited (%d) %s ago", s.ExitCode, ago(s.FinishedAt, now))
}

func ago(then, now time.Time) string { return units.HumanDuration(now.Sub(then)) }
