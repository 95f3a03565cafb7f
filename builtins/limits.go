package builtins

import (
	"fmt"
	"os"
	"strconv"

	"github.com/docker/go-units"

	"github.com/jobengine/engine/internal/cgroupbound"
	"github.com/jobengine/engine/internal/cgroupnames"
)

// Limits are what containers may use that say nothing of it, and what all of
// them together may.
type Limits struct {
	Ulimits []*units.Ulimit
	// Pids is how many processes all containers may have together: 0 is half
	// of what the host can have, -1 any number.
	Pids int64
	// Of the parent cgroup, in microseconds; 0 leaves it as it is.
	RealtimePeriod, RealtimeRuntime int64
	// OOMScoreAdjust is for the daemon and the supervisor.
	OOMScoreAdjust int
}

// DefaultOOMScore keeps the daemon alive when the host runs out of memory.
const DefaultOOMScore = -500

// bound puts the bounds of all containers on their parent cgroup, and gives the
// number of processes that it allows; 0 is any number. What the host refuses is
// told and otherwise no reason not to start: containers can be limited one by one.
func (cfg Config) bound() int64 {
	cfg.adjustOOMScore()
	pids := cfg.Limits.Pids
	if pids == 0 {
		pids = cgroupbound.DefaultPids()
	}
	pids = max(pids, 0)
	if cfg.CgroupDriver == cgroupnames.Systemd {
		// The slice is systemd's, who would undo what others write there.
		return pids
	}
	if err := cgroupbound.Pids(cfg.CgroupParent, pids, cfg.Limits.Pids != 0); err != nil {
		cfg.Log.Warnf("containers without a limit of processes of their own have none together: %v", err)
	}
	if cfg.Limits.RealtimePeriod != 0 || cfg.Limits.RealtimeRuntime != 0 {
		if err := cgroupbound.Realtime(cfg.CgroupParent, cfg.Limits.RealtimePeriod, cfg.Limits.RealtimeRuntime); err != nil {
			cfg.Log.Warnf("containers have no CPU real-time: %v", err)
		}
	}
	return pids
}

// adjustOOMScore changes this process's chance to be killed, which the supervisor inherits.
func (cfg Config) adjustOOMScore() {
	const path = "/proc/self/oom_score_adj"
	if cfg.Limits.OOMScoreAdjust == 0 {
		return
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(cfg.Limits.OOMScoreAdjust)), 0); err != nil {
		text := fmt.Sprintf("oom-score-adjust %d: %v: the daemon stays as likely to be killed as others are when the host runs out of memory", cfg.Limits.OOMScoreAdjust, err)
		if cfg.Limits.OOMScoreAdjust == DefaultOOMScore {
			cfg.Log.Info(text)
		} else {
			cfg.Log.Warn(text)
		}
	}
}
