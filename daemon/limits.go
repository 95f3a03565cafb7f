package daemon

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/jobengine/engine/builtins"
	"github.com/jobengine/engine/internal/strictjson"
)

// limits are the flags about what containers may use.
type limits struct {
	builtins.Limits
	ulimits ulimits
}

func (l *limits) flags(f *pflag.FlagSet) {
	f.Var(&l.ulimits, "default-ulimit", "Default ulimits of containers, NAME=SOFT[:HARD]")
	f.Int64Var(&l.Pids, "containers-pids-limit", 0, "Processes that all containers together may have (0: half of what the host can have, -1: any number)")
	f.Int64Var(&l.RealtimePeriod, "cpu-rt-period", 0, "Limit the CPU real-time period in microseconds for the parent cgroup of all containers (cgroup v1)")
	f.Int64Var(&l.RealtimeRuntime, "cpu-rt-runtime", 0, "Limit the CPU real-time runtime in microseconds for the parent cgroup of all containers (cgroup v1)")
	f.IntVar(&l.OOMScoreAdjust, "oom-score-adjust", builtins.DefaultOOMScore, "Set the oom_score_adj of the daemon and the supervisor, where that is permitted")
}

func (l *limits) check() error {
	switch {
	case l.OOMScoreAdjust < -1000 || l.OOMScoreAdjust > 1000:
		return fmt.Errorf("oom-score-adjust: invalid value %d, range for oom score adj is [-1000, 1000]", l.OOMScoreAdjust)
	case l.Pids < -1 || l.Pids > 1<<22:
		return fmt.Errorf("containers-pids-limit: invalid value %d: it is -1 or a number up to %d", l.Pids, 1<<22)
	case l.RealtimePeriod < 0 || l.RealtimeRuntime < 0:
		return fmt.Errorf("cpu-rt-period and cpu-rt-runtime cannot be negative")
	case l.RealtimePeriod != 0 && l.RealtimeRuntime > l.RealtimePeriod:
		return fmt.Errorf("cpu-rt-runtime: %d is more than the period of %d", l.RealtimeRuntime, l.RealtimePeriod)
	}
	l.Ulimits = l.ulimits.sorted()
	return nil
}

// ulimits is the value of --default-ulimit, and of the key default-ulimits.
type ulimits map[string]*units.Ulimit

func (u *ulimits) Type() string   { return "ulimit" }
func (u *ulimits) String() string { return fmt.Sprint(u.sorted()) }

// Set takes NAME=SOFT[:HARD]; the last of a name counts.
func (u *ulimits) Set(text string) error {
	l, err := units.ParseUlimit(text)
	if err != nil {
		return err
	}
	return u.add(l.Name, l)
}

func (u *ulimits) add(name string, l *units.Ulimit) error {
	if l == nil {
		return fmt.Errorf("ulimit %s: null", name)
	}
	if l.Name == "" {
		l.Name = name
	}
	if _, err := l.GetRlimit(); err != nil {
		return err
	}
	if l.Hard != -1 && (l.Soft > l.Hard || l.Soft == -1) {
		return fmt.Errorf("ulimit %s: soft limit must be less than or equal to hard limit: %d > %d", name, l.Soft, l.Hard)
	}
	if *u == nil {
		*u = ulimits{}
	}
	(*u)[l.Name] = l
	return nil
}

// SetJSON takes the object of the configuration file: {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 4096}}.
func (u *ulimits) SetJSON(text []byte) error {
	if len(text) == 0 || text[0] != '{' {
		return fmt.Errorf("%s is not an object", text)
	}
	if err := strictjson.Check(text, 0); err != nil {
		return err
	}
	var all map[string]*units.Ulimit
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := u.add(name, all[name]); err != nil {
			return err
		}
	}
	return nil
}

func (u *ulimits) sorted() []*units.Ulimit {
	var list []*units.Ulimit
	for _, l := range *u {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b *units.Ulimit) int { return strings.Compare(a.Name, b.Name) })
	return list
}
