package system

import (
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/cgroupnames"
	"github.com/jobengine/engine/internal/hostinfo"
)

func TestWarningsSayWhatTheHostLacks(t *testing.T) {
	full := host{CanRaiseLimits: true, Systemd: true}
	full.Seccomp = true
	full.Cgroup = readHost().Cgroup
	has := func(s *System, text string) bool {
		return slices.ContainsFunc(s.warnings(), func(w string) bool { return strings.HasPrefix(w, "WARNING: ") && strings.Contains(w, text) })
	}
	for text, change := range map[string]func(*System){
		"No AppArmor and no SELinux":       func(*System) {},
		"AppArmor is there and not used":   func(s *System) { s.host.AppArmor = true },
		"SELinux is there and not used":    func(s *System) { s.host.SELinux = true },
		"No CAP_SYS_RESOURCE":              func(s *System) { s.host.CanRaiseLimits = false },
		"No memory limit support":          func(s *System) { s.host.Cgroup = hostinfo.Cgroup{Version: 1} },
		"No pids limit support":            func(s *System) { s.host.Cgroup = hostinfo.Cgroup{Version: 2} },
		"both write to one tree":           func(s *System) { s.host.Cgroup.Version, s.CgroupDriver = 2, cgroupnames.Cgroupfs },
		"what boot has found is passed on": func(s *System) { s.Warnings = []string{"WARNING: what boot has found is passed on"} },
	} {
		s := &System{host: full}
		change(s)
		assert.Check(t, has(s, text), "%q is not in %q", text, s.warnings())
		if text != "No AppArmor and no SELinux" {
			s := &System{host: full}
			s.host.AppArmor = true
			assert.Check(t, strings.HasPrefix(text, "AppArmor") || !has(s, text), "%q is said without need", text)
		}
	}
}

func TestSecurityOptionsAreThoseThatAreOn(t *testing.T) {
	s := &System{Config: Config{SecurityOptions: []string{"name=userns"}}}
	assert.DeepEqual(t, s.securityOptions(), []string{"name=userns"})
	s.host.Cgroup.Version = 2
	assert.DeepEqual(t, s.securityOptions(), []string{"name=userns", "name=cgroupns"})
	s.host.Seccomp = true
	if hostinfo.SeccompBuilt {
		assert.Equal(t, s.securityOptions()[0], "name=seccomp,profile=builtin")
	}
}
