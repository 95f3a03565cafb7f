package daemon

import (
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/builtins"
)

func TestDefaultsOfIsolationComeFromFlagsOrTheFile(t *testing.T) {
	want := builtins.Isolation{
		Init: true, InitPath: "/usr/libexec/my-init", NoNewPrivileges: true, SeccompProfile: "unconfined",
		DefaultIpcMode: "shareable", DefaultCgroupnsMode: "host",
	}
	file := configFile(t, `{"init": true, "init-path": "/usr/libexec/my-init", "no-new-privileges": true, "seccomp-profile": "unconfined",
		"default-ipc-mode": "shareable", "default-cgroupns-mode": "host", "selinux-enabled": false}`)
	for _, args := range [][]string{
		{"-d", "--config-file", file},
		{"-d", "--init", "--init-path=/usr/libexec/my-init", "--no-new-privileges", "--seccomp-profile=unconfined", "--default-ipc-mode=shareable", "--default-cgroupns-mode=host"},
	} {
		cfg, _, err := parse(args)
		assert.NilError(t, err)
		assert.DeepEqual(t, cfg.parts(nil).Isolation, want)
	}
	cfg, _, err := parse([]string{"-d"})
	assert.NilError(t, err)
	assert.DeepEqual(t, cfg.parts(nil).Isolation, builtins.Isolation{SeccompProfile: "builtin", DefaultIpcMode: "private"})
}

func TestDefaultsOfIsolationThatCannotBeAreRefused(t *testing.T) {
	for value, text := range map[string]string{
		"default-ipc-mode=bogus":       `default IPC mode setting (bogus) is invalid; use "shareable" or "private"`,
		"default-ipc-mode=":            `default IPC mode setting () is invalid`,
		"default-ipc-mode=host":        `IPC mode "host" is not supported as default value; use "shareable" or "private"`,
		"default-ipc-mode=container:x": `IPC mode "container:x" is not supported as default value; use "shareable" or "private"`,
		"default-cgroupns-mode=bogus":  `default cgroup namespace mode (bogus) is invalid; use "host" or "private"`,
		"selinux-enabled=true":         "this engine sets no SELinux labels",
		"init=maybe":                   "invalid argument",
	} {
		_, _, err := parse([]string{"-d", "--config-file", configFile(t, "{}"), "--" + value})
		assert.ErrorContains(t, err, text)
	}
}
