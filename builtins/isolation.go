package builtins

import (
	"fmt"
	"io"
	"os"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/containers/spec"
)

// Isolation is how containers are kept apart that say nothing of it.
type Isolation struct {
	Init            bool
	InitPath        string // a program, in PATH or with its path; "" is the one of this engine
	NoNewPrivileges bool
	// SeccompProfile is a file, "unconfined", or "" or "builtin" for the profile of this engine.
	SeccompProfile      string
	DefaultIpcMode      string // private or shareable; "" is private
	DefaultCgroupnsMode string // host or private; "" is by cgroup version
}

// maxProfile bounds what is read of a seccomp profile; moby's has 20 KB.
const maxProfile = 4 << 20

// defaults reads what files have to say.
func (i Isolation) defaults() (spec.Defaults, error) {
	d := spec.Defaults{
		Init: i.Init, NoNewPrivileges: i.NoNewPrivileges, Seccomp: i.SeccompProfile,
		IpcMode: container.IpcMode(i.DefaultIpcMode), CgroupnsMode: container.CgroupnsMode(i.DefaultCgroupnsMode),
	}
	if d.Seccomp == "" || d.Seccomp == "builtin" || d.Seccomp == "unconfined" {
		return d, nil
	}
	f, err := os.Open(i.SeccompProfile)
	if err != nil {
		return d, fmt.Errorf("opening seccomp profile (%s) failed: %w", i.SeccompProfile, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxProfile))
	if err != nil {
		return d, fmt.Errorf("opening seccomp profile (%s) failed: %w", i.SeccompProfile, err)
	}
	d.Seccomp = string(text)
	if err := spec.CheckProfile(d.Seccomp); err != nil {
		return d, fmt.Errorf("seccomp profile (%s): %w", i.SeccompProfile, err)
	}
	return d, nil
}
