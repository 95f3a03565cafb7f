//go:build system

package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/cgroupdir"
	"github.com/jobengine/engine/internal/cgroupnames"
	"github.com/jobengine/engine/test/harness"
)

// wrapper is an OCI runtime that writes down how it was called, and is runc.
func wrapper(t *testing.T) (path, calls string) {
	needRunc(t)
	dir := t.TempDir()
	path, calls = filepath.Join(dir, "runtime"), filepath.Join(dir, "calls")
	text := "#!/bin/sh\necho \"$*\" >> " + calls + "\n[ \"$1\" != --mark ] || shift\nexec runc \"$@\"\n"
	assert.NilError(t, os.WriteFile(path, []byte(text), 0o755))
	return path, calls
}

func TestConfiguredRuntimesRunContainers(t *testing.T) {
	path, calls := wrapper(t)
	config := filepath.Join(t.TempDir(), "daemon.json")
	text := fmt.Sprintf(`{"runtimes": {"marked": {"path": %q, "runtimeArgs": ["--mark"]}}, "default-runtime": "marked"}`, path)
	assert.NilError(t, os.WriteFile(config, []byte(text), 0o600))
	e := startLoaded(t, "--config-file", config, "--add-runtime", "plain="+path, "--add-runtime", "missing=/no/such/runtime")

	var info struct {
		DefaultRuntime string
		Runtimes       map[string]struct {
			Path        string
			RuntimeArgs []string
		}
	}
	assert.NilError(t, json.Unmarshal([]byte(e.must("info", "--format", "json")), &info))
	assert.Equal(t, info.DefaultRuntime, "marked")
	assert.Equal(t, info.Runtimes["marked"].Path, path)
	assert.DeepEqual(t, info.Runtimes["marked"].RuntimeArgs, []string{"--mark"})
	assert.Check(t, strings.Contains(e.must("info"), "Runtimes: marked missing native oci plain"), e.must("info"))

	called := func() string {
		text, _ := os.ReadFile(calls)
		_ = os.Remove(calls)
		return string(text)
	}
	assert.Equal(t, e.must("run", "--name", "aa", "busybox", "echo", "hello"), "hello")
	assert.Equal(t, e.must("inspect", "-f", "{{.HostConfig.Runtime}}", "aa"), "marked")
	assert.Check(t, strings.HasPrefix(called(), "--mark --root "))
	assert.Equal(t, e.must("run", "--rm", "--runtime", "plain", "busybox", "echo", "hello"), "hello")
	assert.Check(t, strings.HasPrefix(called(), "--root "))
	// What docker calls runc needs no configuration and is not the default any more.
	assert.Equal(t, e.must("run", "--rm", "--runtime", "runc", "busybox", "echo", "hello"), "hello")
	assert.Equal(t, called(), "")

	res := e.any("run", "--rm", "--runtime", "missing", "busybox", "true")
	assert.Equal(t, res.Code, 127, "%s", res) // the client, docker's too, reads the text
	assert.Check(t, strings.Contains(res.Stderr, "the OCI runtime cannot be run: fork/exec /no/such/runtime: no such file or directory"), "%s", res)
	assert.Equal(t, e.must("ps", "-aq", "--filter", "status=created"), "")

	// Its containers outlive daemon and supervisor, also when the next daemon has not heard of it.
	e.must("run", "-d", "--name", "long", "--runtime", "marked", "busybox", "sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.1; done")
	assert.NilError(t, e.Stop())
	assert.NilError(t, os.WriteFile(config, []byte("{}"), 0o600))
	assert.NilError(t, e.Start())
	assert.Equal(t, e.must("inspect", "-f", "{{.State.Running}}", "long"), "true")
	e.must("stop", "long")
	assert.Equal(t, e.must("inspect", "-f", "{{.State.ExitCode}}", "long"), "4")
	res = e.any("start", "aa")
	assert.Check(t, strings.Contains(res.Stderr, "Unknown runtime specified marked"), "%s", res)
}

func TestBadExecOptionsStopTheDaemon(t *testing.T) {
	bin, err := harness.EngineBinary()
	assert.NilError(t, err)
	rows := map[string][]string{
		`native.cgroupdriver option red not supported`:                                             {"--exec-opt", "native.cgroupdriver=red"},
		`native.cgroupdriver option none is internally used and cannot be specified manually`:      {"--exec-opt", "native.cgroupdriver=none"},
		`"native" is not of the form DRIVER.KEY=VALUE`:                                             {"--exec-opt", "native"},
		`exec-opt: unknown exec driver "lxc"`:                                                      {"--exec-opt", "lxc.a=b"},
		`exec driver native: native: unknown option "colour"`:                                      {"--exec-opt", "native.colour=red"},
		`exec driver oci: oci: unknown option colour="red"`:                                        {"--exec-opt", "oci.colour=red"},
		`specified default runtime 'nope' does not exist`:                                          {"--default-runtime", "nope"},
		`runtime name 'runc' is reserved`:                                                          {"--add-runtime", "runc=/x"},
		`runtime name 'oci' is reserved`:                                                           {"--add-runtime", "oci=/x"},
		`native.cgroupdriver option systemd: systemd not running on this host, cannot use systemd`: {"--exec-opt", "native.cgroupdriver=systemd"},
	}
	if cgroupnames.SystemdRuns() {
		delete(rows, `native.cgroupdriver option systemd: systemd not running on this host, cannot use systemd`)
		rows[`cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"`] = []string{"--exec-opt", "native.cgroupdriver=systemd", "--cgroup-parent", "/engine"}
	}
	for text, flags := range rows {
		dir := t.TempDir()
		res, err := harness.Command{Path: bin, Args: append([]string{"-d", "-H", "unix://" + dir + "/sock", "-g", dir + "/data", "--exec-root", dir + "/exec"}, flags...)}.Run(t.Context())
		assert.NilError(t, err)
		assert.Check(t, res.Code != 0 && strings.Contains(res.Stderr, text), "%q: %s", flags, res)
	}
}

func TestTheCgroupDriverIsCgroupfsWithoutSystemd(t *testing.T) {
	if cgroupnames.SystemdRuns() {
		t.Skip("for hosts without systemd")
	}
	e := startLoaded(t, "--exec-opt", "native.cgroupdriver=cgroupfs")
	assert.Equal(t, e.must("info", "--format", "{{.CgroupDriver}}"), "cgroupfs")
	e.must("run", "-d", "--name", "cc", "--cgroup-parent", e.CgroupParent+"/below", "busybox", "sleep", "1000")
	groups, err := os.ReadFile("/proc/" + e.must("inspect", "-f", "{{.State.Pid}}", "cc") + "/cgroup")
	assert.NilError(t, err)
	assert.Check(t, strings.Contains(string(groups), e.CgroupParent+"/below/"), "%s", groups)
	e.must("rm", "-f", "cc")
	assert.NilError(t, cgroupdir.RemoveEmpty(e.CgroupParent+"/below")) // like docker, we leave what a user has named
	res := e.any("run", "--rm", "--cgroup-parent", "/../x", "busybox", "true")
	assert.Check(t, res.Code == 125 && strings.Contains(res.Stderr, "invalid cgroup parent"), "%s", res)
}
