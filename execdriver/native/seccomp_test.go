//go:build seccomp && cgo

package native

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runc/libcontainer/configs"
	runc "github.com/opencontainers/runc/libcontainer/seccomp"
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"gotest.tools/v3/assert"
)

func profilesToPack(t *testing.T) map[string]*specs.LinuxSeccomp {
	t.Helper()
	byDefault, err := seccomp.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	assert.NilError(t, err)
	seven, nosys := uint(7), uint(38)
	// Everything that a rule can have: another action, two conditions on one argument, a call that does not exist.
	deny := &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow, DefaultErrnoRet: nil,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86},
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"mkdir", "mkdirat", "no_such_call", "rmdir", "chown", "lchown", "fchown", "chmod", "fchmod", "link", "symlink", "unlink", "rename"}, Action: specs.ActErrno, ErrnoRet: &seven},
			{Names: []string{"uname"}, Action: specs.ActKillProcess},
			{Names: []string{"sync", "syncfs"}, Action: specs.ActAllow},
			{Names: []string{"getpriority", "setpriority"}, Action: specs.ActTrace, Args: []specs.LinuxSeccompArg{
				{Index: 0, Value: 1, Op: specs.OpEqualTo}, {Index: 0, Value: 2, Op: specs.OpGreaterThan}, {Index: 1, Value: 1 << 40, ValueTwo: 3, Op: specs.OpMaskedEqual},
			}},
			{Names: []string{"personality"}, Action: specs.ActLog, Args: []specs.LinuxSeccompArg{
				{Index: 0, Value: 0xffffffffffffffff, Op: specs.OpNotEqual}, {Index: 5, Value: 8, Op: specs.OpLessEqual},
			}},
		},
	}
	return map[string]*specs.LinuxSeccomp{
		"default": byDefault, "deny": deny,
		"nosys": {DefaultAction: specs.ActErrno, DefaultErrnoRet: &nosys, Architectures: byDefault.Architectures, Syscalls: byDefault.Syscalls},
	}
}

// libcontainer puts the same filter together from the packed rules as from the
// rules themselves. Each is put together in a process of its own, which ends before it is loaded.
func TestPackedRulesAreTheSameFilter(t *testing.T) {
	if file := os.Getenv("ENGINE_TEST_FILTER"); file != "" {
		text, err := os.ReadFile(file)
		assert.NilError(t, err)
		var config configs.Seccomp
		assert.NilError(t, json.Unmarshal(text, &config))
		libseccomp.OnExport = func(_ *libseccomp.ScmpFilter, key string, _ bool) {
			fmt.Println("key " + key)
			os.Exit(0)
		}
		_, err = runc.InitSeccomp(&config)
		t.Fatalf("the filter was not exported: %v", err)
	}
	for name, profile := range profilesToPack(t) {
		t.Run(name, func(t *testing.T) {
			whole, err := specconv.SetupSeccomp(profile)
			assert.NilError(t, err)
			small, err := (&profiles{}).convert(profile)
			assert.NilError(t, err)
			assert.Equal(t, len(small.Syscalls), 1)
			var keys []string
			var sizes []int
			for _, config := range []*configs.Seccomp{whole, small} {
				text, err := json.Marshal(config)
				assert.NilError(t, err)
				file := filepath.Join(t.TempDir(), "filter.json")
				assert.NilError(t, os.WriteFile(file, text, 0o600))
				child := exec.Command(os.Args[0], "-test.run=^TestPackedRulesAreTheSameFilter$")
				child.Env = append(os.Environ(), "ENGINE_TEST_FILTER="+file)
				said, err := child.CombinedOutput()
				assert.NilError(t, err, "%s", said)
				assert.Assert(t, strings.HasPrefix(string(said), "key "), "%s", said)
				keys, sizes = append(keys, string(said)), append(sizes, len(text))
			}
			assert.Equal(t, keys[0], keys[1])
			t.Logf("%d bytes became %d", sizes[0], sizes[1])

			// And the stub for unknown calls begins after the same number.
			for _, arch := range []libseccomp.ScmpArch{libseccomp.ArchNative, libseccomp.ArchAMD64, libseccomp.ArchX86, libseccomp.ArchX32, libseccomp.ArchARM64} {
				var want libseccomp.ScmpSyscall
				for _, call := range whole.Syscalls {
					if nr, err := libseccomp.GetSyscallFromNameByArch(call.Name, arch); err == nil {
						want = max(want, nr)
					}
				}
				have, err := libseccomp.GetSyscallFromNameByArch(small.Syscalls[0].Name, arch)
				if err != nil {
					assert.Assert(t, arch != libseccomp.ArchNative && arch != libseccomp.ArchAMD64, "architecture %d: %v", arch, err)
					continue // the profile does not name it
				}
				assert.Equal(t, have, want, "architecture %d", arch)
			}
		})
	}
}

func TestProfilesThatStayAsTheyAre(t *testing.T) {
	var p profiles
	none, err := p.convert(nil)
	assert.NilError(t, err)
	assert.Assert(t, none == nil)
	// A listener is told of calls: libcontainer looks for the action among the rules.
	asked := profilesToPack(t)["deny"]
	asked.Syscalls[0].Action, asked.Syscalls[0].ErrnoRet = specs.ActNotify, nil
	asked.ListenerPath = "/run/listener"
	config, err := p.convert(asked)
	assert.NilError(t, err)
	assert.Assert(t, len(config.Syscalls) > 10)
	again, err := p.convert(asked)
	assert.NilError(t, err)
	assert.Assert(t, again == config, "it was converted twice")
	for n := range 2 * maxProfiles {
		_, err := p.convert(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerMetadata: fmt.Sprint(n)})
		assert.NilError(t, err)
	}
	assert.Assert(t, len(p.byID) <= maxProfiles)
}

func TestDamagedPackedRules(t *testing.T) {
	small, err := (&profiles{}).convert(profilesToPack(t)["default"])
	assert.NilError(t, err)
	name := small.Syscalls[0].Name
	_, err = libseccomp.GetSyscallFromName(name)
	assert.NilError(t, err)
	prefix, _, _ := strings.Cut(name, ":")
	for _, bad := range []string{name[:len(name)-5], name + "AAAA", prefix + ":", prefix + ":?", prefix + ":" + strings.Repeat("/////w", 9)} {
		_, err := libseccomp.GetSyscallFromName(bad)
		assert.Assert(t, err != nil, "%.40s", bad)
	}
}
