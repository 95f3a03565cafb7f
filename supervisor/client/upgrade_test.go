package client_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/protocol"
	"github.com/jobengine/engine/supervisor/spool"
)

// stamped is this program once more, as another build of it.
func stamped(t *testing.T, stamp string) func() (*exec.Cmd, error) {
	t.Helper()
	binary, err := os.ReadFile("/proc/self/exe")
	assert.NilError(t, err)
	path, keep, err := client.SealedCommand(append(binary, stamp...))
	assert.NilError(t, err)
	t.Cleanup(func() { keep.Close() })
	return func() (*exec.Cmd, error) { return exec.Command(path), nil }
}

// stampOf reads the end of the program that a process runs.
func stampOf(t *testing.T, pid, length int) string {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/exe", pid))
	assert.NilError(t, err)
	defer f.Close()
	info, err := f.Stat()
	assert.NilError(t, err)
	text := make([]byte, length)
	_, err = f.ReadAt(text, info.Size()-int64(length))
	assert.NilError(t, err)
	return string(text)
}

func descriptors(t *testing.T, pid int) (names []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	assert.NilError(t, err)
	for _, e := range entries {
		name, _ := os.Readlink(filepath.Join(dir, e.Name()))
		names = append(names, name)
	}
	return names
}

// steady waits until a process has no more descriptors than it had.
func steady(t *testing.T, pid, want int) {
	t.Helper()
	var have []string
	for range 1000 {
		if have = descriptors(t, pid); len(have) <= want {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%d descriptors, were %d: %q", len(have), want, have)
}

// TestUpgradeInPlaceTouchesNothing: many upgrades in a row, each by a daemon of
// another build, while containers print as fast as they can.
func TestUpgradeInPlaceTouchesNothing(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		b.end()
		builds := []string{"one", "two"}
		programs := []func() (*exec.Cmd, error){stamped(t, "one"), stamped(t, "two")}
		b.connectAs(programs[0], builds[0])
		pid := b.Hello().Pid

		const lines, upgrades = 20000, 12
		var floods []protocol.Create
		for i := range 3 {
			q := b.request(fmt.Sprint("flood", i), driver)
			if i == 1 {
				q.Log.MaxSizeBytes, q.Log.MaxFiles = 100_000, 1000
			}
			floods = append(floods, q)
			b.run(q, counter(lines)...)
		}
		typed := b.request("typed", driver)
		typed.OpenStdin = true
		b.run(typed, exectest.Script("echo ready", "while read a; do echo got $a; done", "exit 8")...)
		screen := b.request("screen", driver)
		screen.Tty = true
		tty := b.run(screen, exectest.Script("echo ready", "while read a; do echo got $a; done")...).TTY
		defer tty.Close()
		b.run(b.request("ended", driver), exectest.Script("exit 7")...)
		x, err := b.Exec(b.ctx, protocol.Exec{Container: "typed", ExecID: "x", Process: b.process(exectest.Script("trap 'exit 5' TERM", "while :; do sleep 0.02; done")...)}, client.Stdio{})
		assert.NilError(t, err)
		x.PidFD.Close()
		assert.Equal(t, b.exit("ended", "").ExitCode, 7)
		for _, id := range []string{"typed", "screen"} {
			await(t, b.ctx, b.output(id), "ready")
		}
		// A session that is open makes the counts comparable.
		before := len(descriptors(t, pid))

		w, err := b.OpenStdin("typed")
		assert.NilError(t, err)
		for i := range upgrades {
			time.Sleep(20 * time.Millisecond)
			b.Close()
			build := builds[(i+1)%2]
			b.connectAs(programs[(i+1)%2], build)
			assert.Equal(t, b.Hello().Pid, pid)
			assert.Equal(t, b.Hello().Build, build)
			assert.Equal(t, stampOf(t, pid, 3), build)
			for _, f := range []io.Writer{w, tty} {
				_, err = fmt.Fprintf(f, "%d\n", i)
				assert.NilError(t, err)
			}
			await(t, b.ctx, b.output("typed"), fmt.Sprintf("got %d\n", i))
			await(t, b.ctx, b.output("screen"), fmt.Sprintf("got %d\r\n", i))
			assert.Equal(t, b.exit("ended", "").ExitCode, 7) // told again, as nobody has acknowledged it
			assert.Equal(t, b.exit("ended", "").Error, "")
		}
		for _, q := range floods {
			e := b.exit(q.ID, "")
			assert.Equal(t, e.ExitCode, 6, "%s", e.Error)
			rs := records(t, rotated(t, q.Log.Path)...)
			wantNumbers(t, rs, "stdout", lines)
			wantNumbers(t, rs, "stderr", lines)
		}
		steady(t, pid, before) // the floods' are gone, and nothing else has come

		assert.NilError(t, b.ExecSignal(b.ctx, "typed", "x", syscall.SIGTERM))
		e := b.exit("typed", "x")
		assert.Assert(t, e.ExitCode == 5 || e.ExitCode == 143, "%+v", e)
		w.Close()
		assert.NilError(t, b.CloseStdin(b.ctx, "typed"))
		assert.Equal(t, b.exit("typed", "").ExitCode, 8)
		assert.NilError(t, b.Signal(b.ctx, "screen", syscall.SIGKILL))
		assert.Equal(t, b.exit("screen", "").ExitCode, 137)
		for _, e := range zombies(t, pid) {
			t.Errorf("nobody has reaped process %s", e)
		}
	})
}

// zombies lists the children of a process that nobody has waited for.
func zombies(t *testing.T, parent int) (pids []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	assert.NilError(t, err)
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) > 1 && fields[0] == "Z" && fields[1] == fmt.Sprint(parent) {
			pids = append(pids, e.Name())
		}
	}
	return pids
}

// TestUpgradeWaitsForStarts upgrades while containers are started, executed in and removed.
func TestUpgradeWaitsForStarts(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		pid := b.Hello().Pid
		b.run(b.request("steady", driver), "sleep", "1000")
		// An upgrade leaves behind what libcontainer opens and the garbage
		// collector would close some time.
		assert.NilError(t, b.Upgrade(b.ctx))
		before := len(descriptors(t, pid))
		work, stop := context.WithTimeout(b.ctx, 3*time.Second)
		defer stop()
		var all sync.WaitGroup
		for worker := range 4 {
			all.Go(func() {
				for n := 0; work.Err() == nil; n++ {
					q := b.request(fmt.Sprintf("c%d-%d", worker, n), driver)
					q.Tty = n%2 == 1
					b.writeBundle(q, exectest.Script("trap 'exit 3' TERM", "echo out", "while :; do sleep 0.01; done")...)
					p, err := b.Create(b.ctx, q)
					if !assert.Check(t, err, "create") {
						return
					}
					protocol.CloseAll([]*os.File{p.PidFD, p.TTY})
					assert.Check(t, b.Start(b.ctx, q.ID), "start")
					x, err := b.Exec(b.ctx, protocol.Exec{Container: q.ID, ExecID: "x", Process: b.process(exectest.Script("exit 4")...)}, client.Stdio{})
					if !assert.Check(t, err, "exec") {
						return
					}
					x.PidFD.Close()
					e := b.exit(q.ID, "x")
					assert.Check(t, e.ExitCode == 4, "%+v", e)
					b.Ack(e)
					// The first process of a container does not get signals that it does not wait for.
					out, err := b.Output(b.ctx, q.ID)
					if !assert.Check(t, err, "output") {
						return
					}
					assert.Check(t, awaited(b.ctx, out, "out"))
					out.Close()
					assert.Check(t, b.Signal(b.ctx, q.ID, syscall.SIGTERM), "signal")
					e = b.exit(q.ID, "")
					assert.Check(t, e.ExitCode == 3, "%+v", e)
					b.Ack(e)
					assert.Check(t, b.Delete(b.ctx, q.ID), "delete")
				}
			})
		}
		n := 0
		for ; work.Err() == nil; n++ {
			assert.NilError(t, b.Upgrade(b.ctx))
			assert.Equal(t, b.Hello().Pid, pid)
			time.Sleep(50 * time.Millisecond)
		}
		all.Wait()
		t.Logf("%d upgrades", n)
		assert.NilError(t, b.Upgrade(b.ctx))
		list, err := b.List(b.ctx)
		assert.NilError(t, err)
		assert.Equal(t, len(list), 1)
		steady(t, pid, before)
		assert.Equal(t, len(zombies(t, pid)), 0)
	})
}

// TestUpgradeLosesNoOutputOfATerminal: what a pty gives is with the supervisor
// alone until it is in the spool.
func TestUpgradeLosesNoOutputOfATerminal(t *testing.T) {
	b := newBench(t)
	const lines = 150000
	q := b.request("c", "fake")
	q.Tty = true
	b.writeBundle(q, exectest.Script("i=0", fmt.Sprintf("while [ $i -lt %d ]; do echo line $i; i=$((i+1)); done", lines))...)
	p, err := b.Create(b.ctx, q)
	assert.NilError(t, err)
	protocol.CloseAll([]*os.File{p.PidFD, p.TTY})
	out := b.output("c")
	assert.NilError(t, b.Start(b.ctx, "c"))
	ended := make(chan struct{})
	var text strings.Builder
	var all sync.WaitGroup
	all.Go(func() {
		defer close(ended)
		assert.Check(t, out.Copy(b.ctx, [spool.Streams]int64{}, func(_ spool.Stream, p []byte) error {
			text.Write(p)
			return nil
		}))
	})
	for n, going := 0, true; going; n++ {
		select {
		case <-ended:
			t.Logf("%d upgrades", n)
			going = false
		default:
			assert.NilError(t, b.Upgrade(b.ctx))
		}
	}
	all.Wait()
	for n, line := range strings.Split(strings.TrimSpace(text.String()), "\r\n") {
		assert.Equal(t, line, fmt.Sprintf("line %d", n))
	}
	assert.Equal(t, strings.Count(text.String(), "\n"), lines)
}

func TestFailedUpgradeLeavesTheOldOneAtWork(t *testing.T) {
	b := newBench(t)
	was := b.Hello()
	b.run(b.request("c", "fake"), exectest.Script("echo ready", "sleep 1000")...)
	await(t, b.ctx, b.output("c"), "ready")
	before := len(descriptors(t, was.Pid))
	dir := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		assert.NilError(t, os.WriteFile(path, []byte(text), 0o755))
		return path
	}
	for _, c := range []struct{ name, program, want string }{
		{"no program", script("garbage", "\x7fELF garbage"), "exec format error"},
		{"another program", "/bin/true", "it does not know what was asked"},
		{"a program that fails", "/bin/false", "exit status 1"},
	} {
		b.Close()
		b.connectAs(func() (*exec.Cmd, error) { return exec.Command(c.program), nil }, "new")
		is := b.Hello()
		assert.Equal(t, is.Epoch, was.Epoch, c.name)
		assert.Equal(t, is.Build, was.Build, c.name)
		assert.ErrorContains(t, b.Upgrade(b.ctx), c.want)
		x, err := b.Exec(b.ctx, protocol.Exec{Container: "c", ExecID: fmt.Sprint(len(c.name)), Process: b.process("true")}, client.Stdio{})
		assert.NilError(t, err)
		x.PidFD.Close()
		assert.Equal(t, b.exit("c", fmt.Sprint(len(c.name))).ExitCode, 0)
	}
	steady(t, was.Pid, before)
	assert.NilError(t, syscall.Kill(was.Pid, syscall.SIGHUP)) // caught again
	_, err := b.List(b.ctx)
	assert.NilError(t, err)
}

// TestUpgradeKeepsWhatAnEndedContainerHasPrinted: no daemon holds its FIFOs, and
// the shutdown that was asked for is not forgotten.
func TestUpgradeKeepsWhatAnEndedContainerHasPrinted(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		q := b.request("c", driver)
		b.run(q, exectest.Script("echo one", "trap 'echo two; exit 3' TERM", "echo ready", "while :; do sleep 0.01; done")...)
		out := b.output("c")
		await(t, b.ctx, out, "ready")
		go func() { assert.Check(t, b.Signal(b.ctx, "c", syscall.SIGTERM)) }()
		for range 5 {
			assert.NilError(t, b.Upgrade(b.ctx))
		}
		e := b.exit("c", "")
		assert.Equal(t, e.ExitCode, 3, "%s", e.Error)
		assert.Equal(t, all(t, b.ctx, b.output("c"))[spool.Stdout], "one\nready\ntwo\n")
	})
}
