package daemon

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/jobengine/engine/builtins"
)

// isolation are the settings of how containers are kept apart.
type isolation struct {
	builtins.Isolation
	SELinux bool
}

func (i *isolation) flags(f *pflag.FlagSet) {
	f.BoolVar(&i.Init, "init", false, "Run an init in the container to forward signals and reap processes")
	f.StringVar(&i.InitPath, "init-path", "", "Path to the docker-init binary (default: the one that is built in)")
	f.BoolVar(&i.NoNewPrivileges, "no-new-privileges", false, "Set no-new-privileges by default for new containers")
	f.StringVar(&i.SeccompProfile, "seccomp-profile", "builtin", `Path to the default seccomp profile, or "builtin" or "unconfined"`)
	f.StringVar(&i.DefaultIpcMode, "default-ipc-mode", "private", `Default mode for containers ipc ("shareable" | "private")`)
	f.StringVar(&i.DefaultCgroupnsMode, "default-cgroupns-mode", "", `Default mode for containers cgroup namespace ("host" | "private"; default "private" on cgroup version 2, else "host")`)
	f.BoolVar(&i.SELinux, "selinux-enabled", false, "Enable selinux support (not possible with this engine)")
}

// check refuses what no container could have.
func (i *isolation) check() error {
	switch mode, _, _ := strings.Cut(i.DefaultIpcMode, ":"); mode {
	case "private", "shareable":
	case "host", "none", "container":
		return fmt.Errorf(`IPC mode %q is not supported as default value; use "shareable" or "private"`, i.DefaultIpcMode)
	default:
		return fmt.Errorf(`default IPC mode setting (%s) is invalid; use "shareable" or "private"`, i.DefaultIpcMode)
	}
	switch i.DefaultCgroupnsMode {
	case "", "host", "private":
	default:
		return fmt.Errorf(`default cgroup namespace mode (%s) is invalid; use "host" or "private"`, i.DefaultCgroupnsMode)
	}
	if i.SELinux {
		return errors.New("selinux-enabled: this engine sets no SELinux labels")
	}
	return nil
}
