package system

import (
	"os"
	"slices"
	"strings"

	"github.com/jobengine/engine/internal/cgroupnames"
	"github.com/jobengine/engine/internal/hostinfo"
	"github.com/jobengine/engine/internal/rlimit"
)

// securityOptions lists what is on, in the form that docker's client takes apart.
func (s *System) securityOptions() []string {
	options := []string{}
	if hostinfo.SeccompBuilt && s.host.Seccomp {
		options = append(options, "name=seccomp,profile=builtin")
	}
	options = append(options, s.SecurityOptions...)
	if s.host.Cgroup.Version == 2 {
		options = append(options, "name=cgroupns")
	}
	return options
}

// warnings lists what a user should know about: what the host or this build
// lacks, and what of the host is not used. What is there in the host's cgroups
// has docker's sentences.
func (s *System) warnings() []string {
	list := append([]string{}, s.Warnings...)
	add := func(missing bool, text string) {
		if missing {
			list = append(list, "WARNING: "+text)
		}
	}
	add(!hostinfo.SeccompBuilt, "No seccomp support: this build (without the tag seccomp) runs containers without a system call filter")
	add(hostinfo.SeccompBuilt && !s.host.Seccomp, "No seccomp support: the kernel cannot filter system calls")
	cg := s.host.Cgroup
	for _, text := range cg.Missing() {
		add(true, text)
	}
	add(!s.host.AppArmor && !s.host.SELinux, "No AppArmor and no SELinux support")
	add(s.host.AppArmor && !slices.Contains(s.SecurityOptions, "name=apparmor"), "AppArmor is there and not used: its default profile could not be loaded (apparmor_parser)")
	add(s.host.SELinux, "SELinux is there and not used: this version does not label containers")
	add(!s.host.CanRaiseLimits, "No CAP_SYS_RESOURCE: resource limits (ulimits) and OOM scores of containers stay within the daemon's own")
	add(s.host.Systemd && cg.Version == 2 && s.CgroupDriver == cgroupnames.Cgroupfs,
		"The cgroup driver is cgroupfs beside systemd: both write to one tree. Use --exec-opt native.cgroupdriver=systemd")
	return list
}

// readHost adds to what hostinfo knows.
func readHost() host {
	enabled, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	h := host{Host: hostinfo.Read(), Systemd: cgroupnames.SystemdRuns(), CanRaiseLimits: rlimit.CanRaise()}
	// The module can be built in and off.
	h.AppArmor = err == nil && strings.HasPrefix(string(enabled), "Y")
	return h
}

// host is what is told of the host.
type host struct {
	hostinfo.Host
	Systemd        bool // it is process 1
	CanRaiseLimits bool
}
