//go:build system

package test

import (
	"archive/tar"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// The long tests are short unless TORTURE is set, as `make torture` does.
// TORTURE_ROUNDS and TORTURE_SEED are those of all tests that kill at random.

func full() bool { return os.Getenv("TORTURE") != "" }

// size is for what is done many times.
func size(short, long int) int {
	if full() {
		return long
	}
	return short
}

func killRounds(short, long int) int {
	if n, err := strconv.Atoi(os.Getenv("TORTURE_ROUNDS")); err == nil && n > 0 {
		return min(n, long)
	}
	return size(short, long)
}

func dice(t *testing.T) *rand.Rand {
	n := uint64(1)
	if given, err := strconv.ParseUint(os.Getenv("TORTURE_SEED"), 10, 64); err == nil {
		n = given
	}
	t.Logf("TORTURE_SEED=%d", n)
	return rand.New(rand.NewPCG(n, 7))
}

var tickerProgram = sync.OnceValues(func() ([]byte, error) {
	root, err := harness.Root()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "engine-test-ticker-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "ticker")
	if out, err := exec.Command("gcc", "-static", "-O1", "-o", bin, filepath.Join(root, "test", "ticker", "ticker.c")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the ticker: %w: %s", err, out)
	}
	return os.ReadFile(bin)
})

// startTicking gives a daemon with busybox and the image ticker, whose only
// program is that of test/ticker.
func startTicking(t *testing.T, flags ...string) *engine {
	t.Helper()
	e := startLoaded(t, flags...)
	body, err := tickerProgram()
	assert.NilError(t, err)
	layer := harness.Tar(harness.Entry{Header: tar.Header{Name: "ticker", Typeflag: tar.TypeReg, Mode: 0o755}, Body: body},
		harness.Entry{Header: tar.Header{Name: "tmp", Typeflag: tar.TypeDir, Mode: 0o1777}})
	code, text, _, err := e.Do("POST", "/images/load?quiet=1", strings.NewReader(string(harness.ImageArchive("ticker:latest", [][]byte{layer}, nil))))
	assert.NilError(t, err)
	assert.Equal(t, code, 200, text)
	return e
}

// spec changes the request that creates a container.
type spec func(config, host map[string]any)

func withPolicy(name string) spec {
	return func(_, host map[string]any) { host["RestartPolicy"] = map[string]any{"Name": name} }
}

func withRotation(size string, files int) spec {
	return func(_, host map[string]any) {
		host["LogConfig"] = map[string]any{"Type": "json-file", "Config": map[string]string{"max-size": size, "max-file": strconv.Itoa(files)}}
	}
}

// run creates and starts a container of an image over the API.
func (e *engine) run(image, name string, cmd []string, with ...spec) {
	e.t.Helper()
	host := map[string]any{}
	config := map[string]any{"Image": image, "Cmd": cmd, "HostConfig": host}
	for _, f := range with {
		f(config, host)
	}
	assert.NilError(e.t, e.JSON("POST", "/containers/create?name="+name, config, nil))
	assert.NilError(e.t, e.JSON("POST", "/containers/"+name+"/start", nil, nil))
}

func (e *engine) tick(name string, every time.Duration, code int, with ...spec) {
	e.t.Helper()
	e.run("ticker", name, []string{"/ticker", fmt.Sprint(every.Microseconds()), strconv.Itoa(code)}, with...)
}

// containerState is what inspect says of a container's life.
type containerState struct {
	Running    bool
	Pid        int
	ExitCode   int
	Error      string
	Status     string
	StartedAt  string
	FinishedAt string
}

func (e *engine) state(name string) containerState {
	e.t.Helper()
	var out struct{ State containerState }
	assert.NilError(e.t, e.JSON("GET", "/containers/"+name+"/json", nil, &out))
	return out.State
}

// execCode runs a program in a container and gives its exit code.
func (e *engine) execCode(container string, cmd ...string) int {
	e.t.Helper()
	var out struct{ ID string }
	assert.NilError(e.t, e.JSON("POST", "/containers/"+container+"/exec", map[string]any{"Cmd": cmd, "AttachStdout": true}, &out))
	s, err := e.Hijack("POST", "/exec/"+out.ID+"/start", map[string]any{})
	assert.NilError(e.t, err)
	defer s.Close()
	_, err = io.Copy(io.Discard, s)
	assert.NilError(e.t, err)
	state := e.exec(out.ID)
	assert.Assert(e.t, state.ExitCode != nil)
	return *state.ExitCode
}

// supervisorPid is the process that the lock of the exec root names.
func (e *engine) supervisorPid() int {
	e.t.Helper()
	text, err := os.ReadFile(filepath.Join(e.ExecRoot, "supervisor.lock"))
	assert.NilError(e.t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	assert.NilError(e.t, err)
	return pid
}

// killSupervisor kills it and waits until it is gone.
func (e *engine) killSupervisor() {
	e.t.Helper()
	pid := e.supervisorPid()
	assert.NilError(e.t, syscall.Kill(pid, syscall.SIGKILL))
	eventually(e.t, "the supervisor is gone", func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(text), ") Z ") || e.supervisorPid() != pid
	})
}

// restart is Start, which must succeed at once and quickly.
func (e *engine) restart() time.Duration {
	e.t.Helper()
	begin := time.Now()
	assert.NilError(e.t, e.Start())
	took := time.Since(begin)
	// The promise is 3 s; a machine that is busy with other things gets more.
	assert.Assert(e.t, took < 15*time.Second, "the daemon took %v", took)
	return took
}

// TestTortureKillsLoseNoContainerAndNoLine: 30 containers log a line every 10 ms
// and 3 flat out, while the daemon, the supervisor, or both are killed.
func TestTortureKillsLoseNoContainerAndNoLine(t *testing.T) {
	e := startTicking(t)
	random := dice(t)
	tickers, floods := size(12, 30), size(1, 3)
	pids := map[string]int{}
	for i := range tickers + floods {
		name, every, rotation := fmt.Sprintf("tick%d", i), 10*time.Millisecond, withRotation("100k", 10000)
		if i >= tickers {
			// All of a flood would fill the disk: its newest 60 MB must be without a gap.
			name, every, rotation = fmt.Sprintf("flood%d", i), 0, withRotation("20m", 3)
		}
		e.tick(name, every, 4, rotation)
		pids[name] = e.state(name).Pid
	}
	var slowest, slowestSupervisor time.Duration
	daemon := func() {
		e.Kill()
		if random.IntN(2) == 0 {
			time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		}
		slowest = max(slowest, e.restart())
	}
	whole := func() {
		for name, pid := range pids {
			s := e.state(name)
			assert.Assert(t, s.Running && s.Pid == pid, "%s: %+v, was %d", name, s, pid)
		}
		for range 3 {
			name := fmt.Sprintf("tick%d", random.IntN(tickers))
			assert.Equal(t, e.execCode(name, "/ticker"), 64) // as it is asked for nothing
			s, err := e.Hijack("POST", "/containers/"+name+"/attach?stream=1&stdout=1", nil)
			assert.NilError(t, err)
			assert.NilError(t, s.Expect("\n"))
			s.Close()
		}
	}
	unknown := 0
	for _, who := range []string{"daemon", "supervisor", "both"} {
		for round := range killRounds(2, 10) {
			// Two that end meanwhile, each with a code of its own, and one that is stopped.
			enders := map[string]int{}
			for i := range 2 {
				name, code := fmt.Sprintf("ends%s%d-%d", who, round, i), 1+random.IntN(100)
				e.run("busybox", name, []string{"sh", "-c", fmt.Sprintf("sleep 0.%03d; exit %d", random.IntN(1000), code)})
				enders[name] = code
			}
			stopped := fmt.Sprintf("stopped%s%d", who, round)
			e.tick(stopped, 10*time.Millisecond, 9)
			time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
			switch who {
			case "daemon":
				daemon()
			case "supervisor":
				begin := time.Now()
				e.killSupervisor()
				// Whatever needs the supervisor waits for the next one.
				assert.NilError(t, e.JSON("GET", "/containers/"+stopped+"/top", nil, nil))
				slowestSupervisor = max(slowestSupervisor, time.Since(begin))
			case "both":
				pid := e.supervisorPid()
				if random.IntN(2) == 0 {
					assert.NilError(t, syscall.Kill(pid, syscall.SIGKILL))
					daemon()
				} else {
					e.Kill()
					assert.NilError(t, syscall.Kill(pid, syscall.SIGKILL))
					slowest = max(slowest, e.restart())
				}
			}
			whole()
			assert.NilError(t, e.JSON("POST", "/containers/"+stopped+"/stop", nil, nil))
			assert.Equal(t, e.state(stopped).ExitCode, 9, "%+v", e.state(stopped))
			for name, code := range enders {
				eventually(t, name+" has ended", func() bool { return !e.state(name).Running })
				s := e.state(name)
				if s.ExitCode == 255 && s.Error != "" {
					unknown++
				} else {
					assert.Equal(t, s.ExitCode, code, "%s: %+v", name, s)
				}
				assert.NilError(t, e.JSON("DELETE", "/containers/"+name, nil, nil))
			}
			wantCount(t, e.logFiles(stopped))
			assert.NilError(t, e.JSON("DELETE", "/containers/"+stopped, nil, nil))
		}
	}
	for name, pid := range pids {
		assert.NilError(t, os.WriteFile(fmt.Sprintf("/proc/%d/root/stop", pid), nil, 0o600), name)
	}
	lines := 0
	for name := range pids {
		eventually(t, name+" has ended", func() bool { return !e.state(name).Running })
		assert.Equal(t, e.state(name).ExitCode, 4, "%+v", e.state(name))
		files := e.logFiles(name)
		if strings.HasPrefix(name, "flood") {
			lines += wantCountFrom(t, files, -1)
		} else {
			lines += wantCount(t, files)
		}
	}
	t.Logf("%d lines without a gap; slowest start of the daemon %v, of a supervisor %v; %d exit codes that nobody could know",
		lines, slowest.Round(time.Millisecond), slowestSupervisor.Round(time.Millisecond), unknown)
}

// TestTorturePolicies is the table of restart policies: crash, clean stop with
// and without live-restore, and a reboot.
func TestTorturePolicies(t *testing.T) {
	// What happened, and whether a container that ran, or that a user stopped, is up afterwards.
	table := []struct {
		what         string
		flags        []string
		happens      func(e *engine)
		ran, stopped map[string]bool
		lives        bool // the same process
	}{
		{"crash", nil, func(e *engine) { e.Kill() },
			map[string]bool{"no": true, "always": true, "unless-stopped": true, "on-failure": true},
			map[string]bool{"always": true}, true},
		{"clean stop", nil, func(e *engine) { assert.NilError(e.t, e.Stop()) },
			map[string]bool{"no": true, "always": true, "unless-stopped": true, "on-failure": true},
			map[string]bool{"always": true}, true},
		{"clean stop that stops containers", []string{"--live-restore=false"}, func(e *engine) { assert.NilError(e.t, e.Stop()) },
			map[string]bool{"always": true, "unless-stopped": true, "on-failure": true},
			map[string]bool{"always": true}, false},
		{"reboot", nil, func(e *engine) { e.reboot() },
			map[string]bool{"always": true, "unless-stopped": true, "on-failure": true},
			map[string]bool{"always": true}, false},
	}
	each := size(3, 10)
	for _, row := range table {
		t.Run(strings.ReplaceAll(row.what, " ", "_"), func(t *testing.T) {
			e := startTicking(t, row.flags...)
			type made struct {
				name, policy string
				stopped      bool
				pid          int
			}
			var all []made
			for _, policy := range []string{"no", "always", "unless-stopped", "on-failure"} {
				for i := range each {
					m := made{name: fmt.Sprintf("%s%d", policy, i), policy: policy, stopped: i == 0}
					e.tick(m.name, 10*time.Millisecond, 143, withPolicy(policy))
					if m.stopped {
						assert.NilError(t, e.JSON("POST", "/containers/"+m.name+"/stop", nil, nil))
					} else {
						m.pid = e.state(m.name).Pid
					}
					all = append(all, m)
				}
			}
			row.happens(e)
			e.restart()
			for _, m := range all {
				up := row.ran[m.policy]
				if m.stopped {
					up = row.stopped[m.policy]
				}
				if !up {
					continue
				}
				eventually(t, m.name+" is up", func() bool { return e.state(m.name).Running })
				if row.lives && !m.stopped {
					assert.Equal(t, e.state(m.name).Pid, m.pid, m.name)
				}
			}
			for _, m := range all {
				up := row.ran[m.policy]
				if m.stopped {
					up = row.stopped[m.policy]
				}
				s := e.state(m.name)
				assert.Equal(t, s.Running, up, "%s, stopped %v: %+v", m.name, m.stopped, s)
				if !up && !m.stopped {
					assert.Assert(t, s.ExitCode == 143 || s.ExitCode == 137 || s.ExitCode == 255 && s.Error != "", "%s: %+v", m.name, s)
				}
			}
		})
	}
}

// reboot is what a power cycle leaves: no process, no mount, no exec root.
func (e *engine) reboot() {
	e.t.Helper()
	pids := []int{e.supervisorPid()}
	var list []struct{ ID string }
	assert.NilError(e.t, e.JSON("GET", "/containers/json", nil, &list))
	for _, c := range list {
		pids = append(pids, e.state(c.ID).Pid)
	}
	e.Kill()
	for _, pid := range pids {
		assert.NilError(e.t, syscall.Kill(pid, syscall.SIGKILL))
	}
	for _, pid := range pids {
		eventually(e.t, "all processes are gone", func() bool { return syscall.Kill(pid, 0) != nil })
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	assert.NilError(e.t, err)
	lines := strings.Split(string(text), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if f := strings.Fields(lines[i]); len(f) > 4 && strings.HasPrefix(f[4], e.Dir+"/") {
			assert.NilError(e.t, syscall.Unmount(f[4], syscall.MNT_DETACH))
		}
	}
	assert.NilError(e.t, os.RemoveAll(e.ExecRoot))
	for _, pattern := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		groups, err := filepath.Glob(pattern + e.CgroupParent)
		assert.NilError(e.t, err)
		for _, group := range groups {
			var all []string
			filepath.WalkDir(group, func(path string, d os.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					all = append(all, path)
				}
				return nil
			})
			for i := len(all) - 1; i >= 0; i-- {
				assert.NilError(e.t, os.Remove(all[i]))
			}
		}
	}
}

// TestTortureACleanStopEndsThirtyContainers: ten of them do not hear SIGTERM.
// Without live-restore they are stopped beside each other.
func TestTortureACleanStopEndsThirtyContainers(t *testing.T) {
	e := startTicking(t, "--live-restore=false")
	const all, deaf = 30, 10
	timeout := func(config, _ map[string]any) { config["StopTimeout"] = 3 }
	for i := range all {
		cmd := []string{"/ticker", "10000", "5"}
		if i < deaf {
			cmd = append(cmd, "deaf")
		}
		e.run("ticker", fmt.Sprintf("c%d", i), cmd, timeout)
	}
	// A program that has printed hears signals, or does not, as it wants.
	for i := range all {
		name := fmt.Sprintf("c%d", i)
		eventually(t, name+" prints", func() bool { return e.any("logs", "--tail", "1", name).Out() != "" })
	}
	begin := time.Now()
	assert.NilError(t, e.Stop()) // with status 0
	took := time.Since(begin)
	t.Logf("%d containers, %d of them deaf, were stopped in %v with a timeout of 3 s", all, deaf, took.Round(time.Millisecond))
	assert.Assert(t, took < 20*time.Second, "one after the other: %v", took) // 30 s if the deaf ones took turns
	e.restart()
	for i := range all {
		s := e.state(fmt.Sprintf("c%d", i))
		want := 5
		if i < deaf {
			want = 137
		}
		assert.Equal(t, s.ExitCode, want, "c%d: %+v", i, s)
		wantCount(t, e.logFiles(fmt.Sprintf("c%d", i)))
	}
}

// TestTheDaemonStartsTheFirstTimeWhateverItsPredecessorLeft: pid files of all
// kinds, a zombie, and a pid that is somebody else's by now.
func TestTheDaemonStartsTheFirstTimeWhateverItsPredecessorLeft(t *testing.T) {
	e := startLoaded(t)
	e.run("busybox", "web", []string{"sleep", "1000"})
	pid := e.state("web").Pid
	bin, err := harness.EngineBinary()
	assert.NilError(t, err)
	e.KeepPidFile = true
	check := func(what string) {
		took := e.restart()
		t.Logf("%s: %v", what, took.Round(time.Millisecond))
		assert.Equal(t, e.state("web").Pid, pid, what)
		have, err := e.PidInFile()
		assert.NilError(t, err)
		assert.Equal(t, have, e.Pid(), what)
	}
	bystander := exec.Command("sleep", "1000")
	assert.NilError(t, bystander.Start())
	defer func() { bystander.Process.Kill(); bystander.Wait() }()
	for what, text := range map[string]string{
		"its own, of a killed daemon": "", "somebody else's": fmt.Sprint(bystander.Process.Pid), "ours": fmt.Sprint(os.Getpid()),
		"pid 1": "1", "garbage": "garbage\x00\xff", "empty": "\n", "too large": "99999999999999999999",
	} {
		e.Kill()
		if text != "" {
			assert.NilError(t, os.WriteFile(e.PidFile, []byte(text), 0o644))
		}
		check(what)
	}

	// A parent that never waits: the daemon that was killed stays a zombie.
	parent := filepath.Join(t.TempDir(), "parent")
	assert.NilError(t, os.WriteFile(parent, []byte("#!/bin/sh\n"+bin+" \"$@\" &\nexec sleep 1000\n"), 0o755))
	assert.NilError(t, e.Stop())
	os.Remove(e.PidFile)
	e.Use(parent)
	assert.NilError(t, e.Start())
	zombie, err := e.PidInFile()
	assert.NilError(t, err)
	sleeper := e.Pid()
	assert.NilError(t, syscall.Kill(zombie, syscall.SIGKILL))
	eventually(t, "it is a zombie", func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", zombie))
		return strings.Contains(string(text), ") Z ")
	})
	e.Use(bin)
	check("of a zombie")
	assert.NilError(t, syscall.Kill(sleeper, syscall.SIGKILL))
}

// TestIdleContainersCostLittle prints what daemon and supervisor weigh for each.
func TestIdleContainersCostLittle(t *testing.T) {
	e := startLoaded(t)
	more := size(30, 100)
	weigh := func() (kB int) {
		for _, pid := range []int{e.Pid(), e.supervisorPid()} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
			assert.NilError(t, err)
			for _, line := range strings.Split(string(text), "\n") {
				if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
					n, err := strconv.Atoi(f[1])
					assert.NilError(t, err)
					kB += n
				}
			}
		}
		return kB
	}
	add := func(from, n int) {
		for i := range n {
			e.run("busybox", fmt.Sprintf("c%d", from+i), []string{"sleep", "1000"})
		}
		time.Sleep(time.Second) // to collect what the starts have left
	}
	add(0, 10)
	before := weigh()
	add(10, more)
	after := weigh()
	each := float64(after-before) / float64(more)
	t.Logf("PSS of daemon and supervisor: %d kB with 10 idle containers, %d kB with %d: %.0f kB each", before, after, 10+more, each)
	assert.Assert(t, each < 400, "%.0f kB each", each)
}

func (e *engine) ping() (time.Duration, error) {
	begin := time.Now()
	code, _, _, err := e.Do(http.MethodGet, "bare:/_ping", nil)
	if err == nil && code != 200 {
		err = fmt.Errorf("status %d", code)
	}
	return time.Since(begin), err
}
