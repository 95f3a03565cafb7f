//go:build system

package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/hostinfo"
)

// group is a container's folder in a hierarchy of cgroup v1, or the one of v2.
func (e *engine) group(name, controller string) string {
	e.t.Helper()
	text, err := os.ReadFile("/proc/" + e.must("inspect", "-f", "{{.State.Pid}}", name) + "/cgroup")
	assert.NilError(e.t, err)
	unified := ""
	for _, line := range strings.Split(string(text), "\n") {
		f := strings.SplitN(line, ":", 3)
		if len(f) == 3 && slices.Contains(strings.Split(f[1], ","), controller) {
			return filepath.Join("/sys/fs/cgroup", controller, f[2])
		}
		if len(f) == 3 && f[1] == "" {
			unified = f[2]
		}
	}
	return filepath.Join("/sys/fs/cgroup", unified)
}

// limit reads a file of a container's cgroup, by its names on v1 and v2.
func (e *engine) limit(name, controller, v1, v2 string) string {
	e.t.Helper()
	dir := e.group(name, controller)
	for _, file := range []string{v1, v2} {
		if text, err := os.ReadFile(filepath.Join(dir, file)); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	e.t.Fatalf("neither %s nor %s in %s", v1, v2, dir)
	return ""
}

func (e *engine) happened(action string) []string {
	e.t.Helper()
	now := strconv.FormatInt(time.Now().Unix()+1, 10)
	return strings.Fields(e.must("events", "--since", "1", "--until", now, "--filter", "event="+action, "--format", "{{.Actor.Attributes.name}}"))
}

func TestMemoryThatRunsOutEndsAContainerAndIsTold(t *testing.T) {
	e := startLoaded(t)
	res := e.any("run", "--name", "web", "-m", "16m", "--memory-swap", "16m", "busybox", "tail", "/dev/zero")
	assert.Equal(t, res.Code, 137, "%s", res)
	assert.Equal(t, e.must("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "web"), "true 137")
	assert.DeepEqual(t, e.happened("oom"), []string{"web"})
	assert.Equal(t, e.any("run", "--name", "fine", "busybox", "sh", "-c", "exit 137").Code, 137)
	assert.Equal(t, e.must("inspect", "-f", "{{.State.OOMKilled}}", "fine"), "false")
}

func TestMemoryThatRunsOutInAnExecIsToldWhileTheContainerLives(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "web", "-m", "16m", "--memory-swap", "16m", "busybox", "sleep", "1000")
	eat := []string{"exec", "web", "tail", "/dev/zero"}
	assert.Equal(t, e.any(eat...).Code, 137)
	oom := func(n int) func() bool { return func() bool { return len(e.happened("oom")) == n } }
	eventually(t, "the event comes", oom(1))
	assert.Equal(t, e.must("inspect", "-f", "{{.State.OOMKilled}} {{.State.Running}}", "web"), "true true")
	pid := e.must("inspect", "-f", "{{.State.Pid}}", "web")

	// A new daemon knows it, and learns what has happened meanwhile.
	e.Kill()
	assert.NilError(t, e.Start())
	assert.Equal(t, e.must("inspect", "-f", "{{.State.OOMKilled}}", "web"), "true")
	time.Sleep(100 * time.Millisecond) // an event that is told twice would come now
	assert.Equal(t, len(e.happened("oom")), 0, "this daemon's bus has only news")
	e.Kill()
	eatFrom := exec.Command("nsenter", "-t", pid, "-m", "tail", "/dev/zero")
	eatFrom.Args = []string{"sh", "-c", "echo $$ > " + filepath.Join(e.groupOf(pid, "memory"), "cgroup.procs") + " && exec tail /dev/zero"}
	eatFrom.Path = "/bin/sh"
	assert.ErrorContains(t, eatFrom.Run(), "killed")
	assert.NilError(t, e.Start())
	eventually(t, "a daemon that was away is told", oom(1))
	// So does one with a new supervisor.
	supervisor := parentOf(t, pid)
	assert.NilError(t, exec.Command("kill", "-9", strconv.Itoa(supervisor)).Run())
	eventually(t, "the new supervisor sees the container", func() bool { return e.any("exec", "web", "true").Code == 0 })
	assert.Equal(t, e.any(eat...).Code, 137)
	eventually(t, "the new supervisor tells", oom(2))
	e.must("restart", "-t", "0", "web")
	assert.Equal(t, e.must("inspect", "-f", "{{.State.OOMKilled}}", "web"), "false")
}

// groupOf is group by the process id.
func (e *engine) groupOf(pid, controller string) string {
	text, _ := os.ReadFile("/proc/" + pid + "/cgroup")
	unified := ""
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.SplitN(line, ":", 3); len(f) == 3 && f[1] == controller {
			return filepath.Join("/sys/fs/cgroup", controller, f[2])
		} else if len(f) == 3 && f[1] == "" {
			unified = f[2]
		}
	}
	return filepath.Join("/sys/fs/cgroup", unified)
}

func TestForkBombsAreHeldAndTheAPIAnswers(t *testing.T) {
	const bound = 600
	e := startLoaded(t, "--containers-pids-limit", strconv.Itoa(bound))
	// Whoever waits may die of the others' bombs, for it must fork; the first process does not wait.
	for i := range 4 {
		e.must("run", "-d", "--name", fmt.Sprintf("bomb%d", i), "busybox", "sh", "-c", "sh -c 'while [ ! -e /go ]; do sleep 0.1; done; b() { while :; do b & done; }; b' & exec sleep 1000")
	}
	for i := range 4 {
		pid := e.must("inspect", "-f", "{{.State.Pid}}", fmt.Sprintf("bomb%d", i))
		assert.NilError(t, os.WriteFile("/proc/"+pid+"/root/go", nil, 0o600))
	}
	parent := filepath.Dir(e.group("bomb0", "pids"))
	held := func() bool {
		text, _ := os.ReadFile(filepath.Join(parent, "pids.current"))
		n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		assert.Check(t, n <= bound)
		return n >= bound*9/10
	}
	eventually(t, "the bombs fill the bound", held)
	var took []time.Duration
	for range 100 {
		began := time.Now()
		code, _, _, err := e.Do("GET", "/containers/json", nil)
		assert.NilError(t, err)
		assert.Equal(t, code, 200)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("GET /containers/json beside 4 fork bombs: p50 %v, p99 %v", took[50], took[98])
	assert.Equal(t, e.limit("bomb0", "pids", "pids.max", "pids.max"), "max", "the container itself has no limit")
	for i := range 4 {
		e.must("rm", "-f", fmt.Sprintf("bomb%d", i))
	}
	eventually(t, "nothing is left of them", func() bool {
		text, _ := os.ReadFile(filepath.Join(parent, "pids.current"))
		return strings.TrimSpace(string(text)) == "0"
	})
	e.must("run", "--rm", "busybox", "true")
	// A cgroup parent of its own is no way around it.
	e.must("run", "-d", "--name", "aside", "--cgroup-parent", e.CgroupParent+"-aside", "busybox", "sleep", "1000")
	assert.Equal(t, e.limit("aside", "pids", "pids.max", "pids.max"), strconv.Itoa(bound))
	aside := filepath.Dir(e.group("aside", "pids"))
	e.must("rm", "-f", "aside")
	for _, dir := range hierarchiesOf(aside) {
		_ = os.Remove(dir)
	}
}

// hierarchiesOf gives a cgroup's folder in every hierarchy.
func hierarchiesOf(dir string) []string {
	rest, ok := strings.CutPrefix(dir, "/sys/fs/cgroup/pids/")
	if !ok {
		return []string{dir}
	}
	all, _ := filepath.Glob("/sys/fs/cgroup/*/" + rest)
	return all
}

func TestAPidsLimitHolds(t *testing.T) {
	e := startLoaded(t)
	res := e.any("run", "--rm", "--pids-limit", "10", "busybox", "sh", "-c", "for i in $(seq 30); do sleep 5 & done; wait")
	assert.Check(t, res.Code != 0)
	assert.Check(t, strings.Contains(res.Stderr, "can't fork"), "%s", res)
}

func TestACPUQuotaThrottles(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "busy", "--cpus", "0.2", "busybox", "sh", "-c", "while :; do :; done")
	eventually(t, "it is throttled", func() bool {
		s := e.stats("busy")
		return s.CPUStats.ThrottlingData.ThrottledPeriods > 2 && s.CPUStats.ThrottlingData.ThrottledTime > 0
	})
	s := e.stats("busy")
	t.Logf("--cpus 0.2: throttled in %d of %d periods", s.CPUStats.ThrottlingData.ThrottledPeriods, s.CPUStats.ThrottlingData.Periods)
}

func (e *engine) stats(name string) (s container.StatsResponse) {
	e.t.Helper()
	assert.NilError(e.t, e.JSON("GET", "/containers/"+name+"/stats?stream=0&one-shot=1", nil, &s))
	return s
}

func TestACpusetBinds(t *testing.T) {
	e := startLoaded(t)
	assert.Equal(t, e.must("run", "--rm", "--cpuset-cpus", "0", "--cpuset-mems", "0", "busybox", "grep", "Cpus_allowed_list", "/proc/self/status"), "Cpus_allowed_list:\t0")
}

func TestABlockIOLimitThrottles(t *testing.T) {
	if !hostinfo.Read().Cgroup.BlockIOWriteBps {
		t.Skip("this host cannot limit block I/O")
	}
	file := filepath.Join(t.TempDir(), "disk")
	assert.NilError(t, os.WriteFile(file, nil, 0o600))
	assert.NilError(t, os.Truncate(file, 64<<20))
	out, err := exec.Command("losetup", "-f", "--show", file).Output()
	if err != nil {
		t.Skipf("no loop device: %v", err)
	}
	loop := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", loop).Run() })
	e := startLoaded(t)
	write := []string{"--device", loop + ":/dev/disk", "busybox", "sh", "-c", "dd if=/dev/zero of=/dev/disk bs=64k count=32 oflag=direct 2>/dev/null; date +%s%N"}
	began := time.Now()
	e.must(append([]string{"run", "--rm"}, write...)...)
	free := time.Since(began)
	began = time.Now()
	e.must(append([]string{"run", "--rm", "--device-write-bps", loop + ":1mb"}, write...)...)
	bound := time.Since(began)
	t.Logf("2 MiB to a loop device: %v, with --device-write-bps 1mb %v", free.Round(time.Millisecond), bound.Round(time.Millisecond))
	assert.Check(t, bound > time.Second, "2 MiB at 1 MiB/s take longer than that")

	res := e.any("run", "--rm", "--device-read-bps", "/dev/nosuch:1mb", "busybox", "true")
	assert.Equal(t, res.Code, 127, "docker's clients take the words for a missing program, too")
	assert.Check(t, strings.Contains(res.Stderr, "stat /dev/nosuch: no such file or directory"), "%s", res)
	res = e.any("run", "--rm", "--device-read-bps", "/dev/null:1mb", "busybox", "true")
	assert.Check(t, strings.Contains(res.Stderr, "/dev/null is not a block device"), "%s", res)
	e.must("run", "-d", "--name", "all", "--device-read-bps", loop+":1mb", "--device-read-iops", loop+":100", "--device-write-iops", loop+":200", "busybox", "sleep", "1000")
	if dir := e.group("all", "blkio"); strings.Contains(dir, "/blkio/") {
		for name, want := range map[string]string{"read_bps": "1048576", "read_iops": "100", "write_iops": "200"} {
			text, err := os.ReadFile(filepath.Join(dir, "blkio.throttle."+name+"_device"))
			assert.NilError(t, err)
			assert.Check(t, strings.HasSuffix(strings.TrimSpace(string(text)), " "+want), "%s: %s", name, text)
		}
	}
}

func TestAnUpdateIsFeltAtOnceAndKept(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "web", "-m", "64m", "busybox", "sleep", "1000")
	e.must("update", "-m", "32m", "--memory-swap", "-1", "--pids-limit", "50", "--cpus", "0.5", "-c", "100", "--restart", "always", "web")
	check := func() {
		t.Helper()
		assert.Equal(t, e.limit("web", "memory", "memory.limit_in_bytes", "memory.max"), strconv.Itoa(32<<20))
		assert.Equal(t, e.limit("web", "pids", "pids.max", "pids.max"), "50")
		assert.Check(t, strings.HasPrefix(e.limit("web", "cpu", "cpu.cfs_quota_us", "cpu.max"), "50000"))
		assert.Equal(t, e.must("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}}", "web"), "33554432 50 always")
	}
	check()
	e.must("update", "--pids-limit", "-1", "web")
	assert.Equal(t, e.limit("web", "pids", "pids.max", "pids.max"), "max")
	e.must("update", "--pids-limit", "50", "web")
	e.Kill()
	assert.NilError(t, e.Start())
	check()
	e.must("restart", "-t", "0", "web")
	check()
	// What is in use cannot be taken away.
	e.must("exec", "web", "dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=16")
	res := e.any("update", "-m", "8m", "--memory-swap", "8m", "web")
	assert.Equal(t, res.Code, 1, "%s", res)
	check()
	assert.Equal(t, len(e.happened("update")), 0, "the refused one; those before were told to the former daemon")
	e.must("update", "--restart", "no", "web")
	assert.DeepEqual(t, e.happened("update"), []string{"web"})
}

func TestStatsTellWhatAContainerUses(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "web", "-m", "64m", "--pids-limit", "20", "busybox", "sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=8; while :; do :; done")
	e.must("create", "--name", "idle", "busybox")
	eventually(t, "it has worked", func() bool {
		s := e.stats("web")
		return s.CPUStats.CPUUsage.TotalUsage > 0 && s.MemoryStats.Usage >= 8<<20
	})
	s := e.stats("web")
	assert.Equal(t, s.Name, "/web")
	assert.Equal(t, s.MemoryStats.Limit, uint64(64<<20))
	assert.Equal(t, s.PidsStats.Limit, uint64(20))
	assert.Check(t, s.PidsStats.Current >= 1 && s.CPUStats.OnlineCPUs > 0 && s.CPUStats.SystemUsage > 0)
	assert.Check(t, s.PreRead.IsZero())

	_, body, _, err := e.Do("GET", "/containers/web/stats?stream=0", nil)
	assert.NilError(t, err)
	assert.NilError(t, json.Unmarshal([]byte(body), &s))
	assert.Check(t, s.PreCPUStats.CPUUsage.TotalUsage > 0 && s.PreCPUStats.CPUUsage.TotalUsage < s.CPUStats.CPUUsage.TotalUsage)
	assert.Check(t, s.Read.After(s.PreRead))
	assert.Check(t, e.stats("idle").Read.IsZero())
}

func TestDefaultsOfLimitsAreTheDaemons(t *testing.T) {
	e := startLoaded(t, "--default-ulimit", "nofile=100:200", "--default-ulimit", "nproc=77", "--default-shm-size", "8m")
	assert.Equal(t, e.must("run", "--rm", "busybox", "sh", "-c", "ulimit -n; ulimit -H -n; df -k /dev/shm | awk 'END{print $2}'"), "100\n200\n8192")
	assert.Equal(t, e.must("run", "--rm", "--ulimit", "nofile=50", "busybox", "sh", "-c", "ulimit -n"), "50")
	e.must("create", "--name", "web", "busybox")
	assert.Equal(t, e.must("inspect", "-f", "{{range .HostConfig.Ulimits}}{{.Name}}={{.Soft}}:{{.Hard}} {{end}}", "web"), "nofile=100:200 nproc=77:77")
	res := e.any("run", "--rm", "--oom-score-adj", "-1000", "--ulimit", "nofile=1073741816", "busybox", "true")
	assert.Equal(t, res.Code, 0, "what this process may not give is no reason not to start: %s", res)
}
