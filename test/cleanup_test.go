//go:build system

package test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/cgroupdir"
	"github.com/jobengine/engine/internal/cgroupnames"
)

// cleanUp runs `engine -d --cleanup` for a daemon's roots on a machine.
func (e *engine) cleanUp(m machine) (string, int) {
	e.t.Helper()
	args := append(m.wrap(), e.cli.Path, "-d", "--cleanup", "--data-root", e.DataRoot, "--exec-root", e.ExecRoot, "-p", e.PidFile, "--cgroup-parent", e.CgroupParent)
	if cgroupnames.SystemdRuns() {
		args = append(args, "--exec-opt", "native.cgroupdriver=cgroupfs")
	}
	cmd := exec.Command(args[0], args[1:]...)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// traces is what an engine leaves on a host beside its folders.
func (e *engine) traces(m machine) string {
	e.t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	assert.NilError(e.t, err)
	var ours []string
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, e.Dir) {
			ours = append(ours, line)
		}
	}
	return m.rules() + "\n" + m.run("ip -o link | sed 's/^[0-9]*: //; s/@.*//; s/: <.*//' | sort; ip -o addr | wc -l; cat /proc/sys/net/ipv4/conf/*/route_localnet | sort | uniq -c") +
		fmt.Sprint("\nmounts ", ours, "\ncgroup ", cgroupdir.Exists(e.CgroupParent))
}

func TestCleanupLeavesNothingOfADeadEngine(t *testing.T) {
	host, _ := newMachines(t)
	host.run(`iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP; iptables-legacy -P FORWARD DROP; nft add table inet own
		ip link add br0 type bridge && ip addr add 192.0.2.1/24 dev br0 && ip link set br0 up`)
	e := host.engine()
	assert.NilError(t, e.Stop())
	out, code := e.cleanUp(host)
	assert.Equal(t, code, 0, out)
	before := e.traces(host)

	assert.NilError(t, e.Start())
	e.must("network", "create", "front")
	e.must("network", "create", "--internal", "back")
	e.must("network", "create", "--subnet", "192.0.2.0/24", "--gateway", "192.0.2.1", "-o", "com.docker.network.bridge.name=br0", "theirs")
	e.must("run", "-d", "--name", "web", "--network", "front", "-p", "8080:80", "busybox", "sleep", "1000")
	e.must("run", "-d", "--name", "app", "--network", "theirs", "busybox", "sleep", "1000")
	e.must("network", "connect", "back", "web")
	out, code = e.cleanUp(host)
	assert.Check(t, code == 1 && strings.Contains(out, "the daemon runs"), "%d: %s", code, out)

	supervisor := e.supervisorPid()
	pids := []string{e.must("inspect", "-f", "{{.State.Pid}}", "web"), e.must("inspect", "-f", "{{.State.Pid}}", "app")}
	e.Kill()
	out, code = e.cleanUp(host)
	assert.Check(t, code == 1 && strings.Contains(out, "has running containers") && strings.Contains(out, pids[0]), "%d: %s", code, out)

	assert.NilError(t, syscall.Kill(supervisor, syscall.SIGKILL))
	soon(t, "the supervisor is gone", func() bool { return syscall.Kill(supervisor, 0) != nil })
	out, code = e.cleanUp(host)
	assert.Check(t, code == 1 && strings.Contains(out, "runs without a supervisor"), "%d: %s", code, out)

	for _, pid := range pids {
		n, err := strconv.Atoi(pid)
		assert.NilError(t, err)
		assert.NilError(t, syscall.Kill(n, syscall.SIGKILL))
		soon(t, "the container is gone", func() bool {
			status, err := os.ReadFile("/proc/" + pid + "/stat")
			return err != nil || strings.Contains(string(status), ") Z ")
		})
	}
	soon(t, "it cleans up", func() bool {
		out, code = e.cleanUp(host)
		return code == 0
	}, func() string { return out })
	assert.Equal(t, e.traces(host), before)
	out, code = e.cleanUp(host)
	assert.Equal(t, code, 0, "twice: %s", out)

	// It was no purge.
	assert.NilError(t, e.Start())
	soon(t, "the ends are noticed", func() bool { return e.must("ps", "-q") == "" })
	e.must("start", "web", "app")
	assert.Check(t, e.addressOf("web", "front") != "" && e.addressOf("web", "back") != "")
	e.must("rm", "-f", "web", "app")
}

// A supervisor that has nothing to do is no reason to refuse, and roots that are gone are none either.
func TestCleanupEndsAnIdleSupervisorAndNeedsNoRoots(t *testing.T) {
	host := newMachine(t)
	before := host.run("ip -o link | wc -l") + host.rules()
	e := host.engine()
	e.must("run", "--rm", "busybox", "true")
	e.Kill()
	out, code := e.cleanUp(host)
	assert.Equal(t, code, 0, out)
	assert.Equal(t, host.run("ip -o link | wc -l")+host.rules(), before)

	assert.NilError(t, e.Start())
	e.must("network", "create", "front")
	assert.NilError(t, e.Stop())
	assert.Assert(t, host.run("ip -o link | wc -l")+host.rules() != before)
	assert.NilError(t, os.RemoveAll(e.DataRoot))
	out, code = e.cleanUp(host)
	assert.Equal(t, code, 0, out)
	assert.Equal(t, host.run("ip -o link | wc -l")+host.rules(), before)
	_, err := os.Stat(e.DataRoot)
	assert.Check(t, os.IsNotExist(err), "it comes back for nothing")
	assert.NilError(t, e.Start())
}
