package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/protocol"
	"github.com/jobengine/engine/supervisor/spool"
)

func TestContainersOutliveTheDaemon(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		supervisor := b.Hello().Pid
		q := b.request("c", driver)
		q.OpenStdin = true
		p := b.run(q, exectest.Script("echo ready", "read word", "echo got $word", "exit 4")...)
		await(t, b.ctx, b.output("c"), "ready")
		b.Close() // this daemon is gone

		b.connect()
		assert.Equal(t, b.Hello().Pid, supervisor)
		list, err := b.List(b.ctx)
		assert.NilError(t, err)
		assert.Equal(t, list[0].State, protocol.StateRunning)
		assert.Equal(t, list[0].Pid, p.Pid)
		w, err := b.OpenStdin("c")
		assert.NilError(t, err)
		defer w.Close()
		_, err = w.WriteString("word\n")
		assert.NilError(t, err)
		assert.Equal(t, b.exit("c", "").ExitCode, 4)
		b.Close() // without having acknowledged

		b.connect()
		e := b.exit("c", "")
		assert.Equal(t, e.ExitCode, 4)
		b.Ack(e)
		list, err = b.List(b.ctx) // after the Ack on the same connection
		assert.NilError(t, err)
		assert.Equal(t, list[0].State, protocol.StateExited)
		assert.Equal(t, list[0].Exit.ExitCode, 4)
		assert.Equal(t, all(t, b.ctx, b.output("c"))[0], "ready\ngot word\n")
	})
}

func TestAnAcknowledgedExitIsNotToldAgain(t *testing.T) {
	b := newBench(t)
	b.run(b.request("one", "fake"), "true")
	b.Ack(b.exit("one", ""))
	b.run(b.request("two", "fake"), "true")
	b.exit("two", "")
	for range 1000 { // Ack does not wait
		if list, err := b.List(b.ctx); err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
		b.Close()
		b.connect()
		b.exit("two", "")
		b.mu.Lock()
		_, again := b.exits["one"]
		b.mu.Unlock()
		if !again {
			return
		}
	}
	t.Fatal("it is told for ever")
}

// kill ends the supervisor as a crash does.
func (b *bench) kill() {
	b.t.Helper()
	assert.NilError(b.t, syscall.Kill(b.Hello().Pid, syscall.SIGKILL))
}

// counter prints numbered lines on both streams, and takes a little time for it.
func counter(n int) []string {
	return exectest.Script(
		"n=0",
		fmt.Sprintf("while [ $n -lt %d ]; do", n),
		"  n=$((n+1))", "  echo $n", "  echo $n >&2",
		"  [ $((n % 500)) = 0 ] && sleep 0.02",
		"done", "exit 6")
}

// TestKilledSupervisorLosesAndDoublesNothing kills it again and again while
// containers print; each finds a successor.
func TestKilledSupervisorLosesAndDoublesNothing(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		const lines = 20000
		var outs []*client.Output
		var got []chan [spool.Streams]string
		for i := range 3 {
			q := b.request(fmt.Sprint("c", i), driver)
			if i == 1 {
				q.Log.MaxSizeBytes, q.Log.MaxFiles = 100_000, 1000
			}
			b.create(q, counter(lines)...)
			out, read := b.output(q.ID), make(chan [spool.Streams]string, 1)
			outs, got = append(outs, out), append(got, read)
			go func() {
				defer close(read)
				var text [spool.Streams]bytes.Buffer
				if err := out.Copy(b.ctx, [spool.Streams]int64{}, func(s spool.Stream, p []byte) error {
					text[s].Write(p)
					return nil
				}); err != nil {
					t.Error(err)
				}
				read <- [spool.Streams]string{text[0].String(), text[1].String()}
			}()
		}
		for i := range outs {
			assert.NilError(t, b.Start(b.ctx, fmt.Sprint("c", i)))
		}
		for range 6 {
			time.Sleep(time.Duration(20+rand.IntN(60)) * time.Millisecond)
			pid := b.Hello().Pid
			b.kill()
			for b.Hello().Pid == pid || b.Hello().Pid == 0 {
				time.Sleep(time.Millisecond)
				if b.ctx.Err() != nil {
					t.Fatal("no new supervisor")
				}
			}
		}
		var want strings.Builder
		for n := 1; n <= lines; n++ {
			fmt.Fprintf(&want, "%d\n", n)
		}
		for i := range outs {
			id := fmt.Sprint("c", i)
			e := b.exit(id, "")
			assert.Equal(t, e.ExitCode, 6, "%s", e.Error)
			files := rotated(t, b.logPath(id))
			if i == 1 {
				assert.Assert(t, len(files) > 5)
			}
			rs := records(t, files...)
			wantNumbers(t, rs, "stdout", lines)
			wantNumbers(t, rs, "stderr", lines)
			text := <-got[i]
			assert.Assert(t, text[0] == want.String() && text[1] == want.String(), "an attached reader got something else")
		}
	})
}

// TestKilledSupervisorUnderFlood: as fast as containers can print, and rotated.
func TestKilledSupervisorUnderFlood(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		const lines = 500_000
		for i := range 2 {
			q := b.request(fmt.Sprint("c", i), driver)
			q.Log.MaxSizeBytes, q.Log.MaxFiles = int64(i)*10_000_000, 1000
			b.run(q, exectest.Script(fmt.Sprintf("seq 1 %d", lines), "exit 6")...)
		}
		for range 5 {
			time.Sleep(time.Duration(50+rand.IntN(200)) * time.Millisecond)
			pid := b.Hello().Pid
			b.kill()
			for b.Hello().Pid == pid || b.Hello().Pid == 0 {
				time.Sleep(time.Millisecond)
				assert.NilError(t, b.ctx.Err())
			}
		}
		for i := range 2 {
			id := fmt.Sprint("c", i)
			e := b.exit(id, "")
			assert.Equal(t, e.ExitCode, 6, "%s", e.Error)
			wantNumbers(t, records(t, rotated(t, b.logPath(id))...), "stdout", lines)
		}
	})
}

// TestKilledSupervisorWhileContainersStart: what was acknowledged is there, the
// rest is repeated by the client, and nothing is left over.
func TestKilledSupervisorWhileContainersStart(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		stop := make(chan struct{})
		var killer, all sync.WaitGroup
		killer.Go(func() {
			for range 40 { // on a busy machine none would live long enough to do anything
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(30+rand.IntN(150)) * time.Millisecond):
					if pid := b.Hello().Pid; pid != 0 {
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				}
			}
		})
		for i := range 4 {
			all.Go(func() {
				for n := range 10 {
					id := fmt.Sprintf("c%d-%d", i, n)
					q := b.request(id, driver)
					spec := exectest.Spec(b.rootfs, exectest.Script("echo out", "trap 'exit 3' TERM", "echo ready", "while :; do sleep 0.01; done")...)
					exectest.WriteBundle(t, q.BundleDir, spec)
					p, err := b.Create(b.ctx, q)
					if !assert.Check(t, err, "create") {
						return
					}
					p.PidFD.Close()
					out, err := b.Output(b.ctx, id)
					if !assert.Check(t, err, "output") {
						return
					}
					if err := b.Start(b.ctx, id); errors.Is(err, execdriver.ErrNotRunning) {
						// Killed after it had opened libcontainer's FIFO, before
						// init could write to it: then init gives up.
						out.Close()
						assert.Check(t, b.Delete(b.ctx, id), "delete")
						continue
					} else if !assert.Check(t, err, "start") {
						return
					}
					await(t, b.ctx, out, "ready")
					x, err := b.Exec(b.ctx, protocol.Exec{Container: id, ExecID: "x", Process: b.process(exectest.Script("exit 4")...)}, client.Stdio{})
					if !assert.Check(t, err, "exec") {
						return
					}
					x.PidFD.Close()
					e := b.exit(id, "x")
					assert.Check(t, e.ExitCode == 4 || e.ExitCode == 255 && e.Error != "", "%+v", e)
					assert.Check(t, b.Signal(b.ctx, id, syscall.SIGTERM), "signal")
					e = b.exit(id, "")
					assert.Check(t, e.ExitCode == 3, "%+v", e)
					got := all2(b, out)
					assert.Check(t, got[0] == "out\nready\n", "%q", got)
					out.Close()
					assert.Check(t, b.Delete(b.ctx, id), "delete")
					assert.Check(t, noCgroup(spec.Linux.CgroupsPath), id)
				}
			})
		}
		all.Wait()
		close(stop)
		killer.Wait()
		list, err := b.List(b.ctx)
		assert.NilError(t, err)
		assert.Equal(t, len(list), 0)
		for _, pattern := range []string{"containers/*", "fake/*", "native/*", "native/.half/*"} {
			left, err := filepath.Glob(filepath.Join(b.root, pattern))
			assert.NilError(t, err)
			left = slices.DeleteFunc(left, func(path string) bool { return filepath.Base(path) == ".half" })
			assert.Equal(t, len(left), 0, "%v", left)
		}
	})
}

// noCgroup is an error if a cgroup of this path exists in any hierarchy.
func noCgroup(path string) error {
	for _, pattern := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		if left, err := filepath.Glob(pattern + path); err != nil || len(left) > 0 {
			return fmt.Errorf("cgroups are left: %v %v", left, err)
		}
	}
	return nil
}

func all2(b *bench, out *client.Output) (got [spool.Streams]string) {
	err := out.Copy(b.ctx, [spool.Streams]int64{}, func(s spool.Stream, p []byte) error {
		got[s] += string(p)
		return nil
	})
	if err != nil {
		got[0] += err.Error()
	}
	return got
}

// rotated gives a log's files, oldest first.
func rotated(t testing.TB, path string) []string {
	t.Helper()
	files := []string{path}
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s.%d", path, n)
		if _, err := os.Stat(name); err != nil {
			return files
		}
		files = append([]string{name}, files...)
	}
}

func TestAdoptedContainerIsWhole(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		q := b.request("c", driver)
		q.OpenStdin = true
		p := b.run(q, exectest.Script("printf prompt:", "read a", "echo got $a", "cat", "exit 8")...)
		await(t, b.ctx, b.output("c"), "prompt:")
		b.kill()
		list, err := b.List(b.ctx) // answered by the successor
		assert.NilError(t, err)
		assert.Equal(t, list[0].Pid, p.Pid)
		assert.Equal(t, list[0].State, protocol.StateRunning)
		x, err := b.Exec(b.ctx, protocol.Exec{Container: "c", ExecID: "x", Process: b.process("true")}, client.Stdio{})
		assert.NilError(t, err)
		x.PidFD.Close()
		assert.Equal(t, b.exit("c", "x").ExitCode, 0)
		w, err := b.OpenStdin("c")
		assert.NilError(t, err)
		_, err = w.WriteString("word\n")
		assert.NilError(t, err)
		w.Close()
		assert.NilError(t, b.CloseStdin(b.ctx, "c"))
		e := b.exit("c", "")
		assert.Equal(t, e.ExitCode, 8, "%s", e.Error)
		assert.Equal(t, all(t, b.ctx, b.output("c"))[0], "prompt:got word\n")
		var log string
		for _, r := range records(t, q.Log.Path) {
			log += r.Log
		}
		assert.Equal(t, log, "prompt:got word\n")
	})
}

func TestAdoptedTerminalIsGivenBack(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		q := b.request("c", driver)
		q.Tty = true
		p := b.run(q, exectest.Script("echo ready", "read a", "echo got $a")...)
		defer p.TTY.Close()
		await(t, b.ctx, b.output("c"), "ready")
		b.kill()
		_, err := b.List(b.ctx) // answered by the successor
		assert.NilError(t, err)
		_, err = p.TTY.WriteString("word\n")
		assert.NilError(t, err)
		assert.Equal(t, b.exit("c", "").ExitCode, 0)
		assert.Equal(t, all(t, b.ctx, b.output("c"))[0], "ready\r\nword\r\ngot word\r\n")
	})
}

func TestContainerThatEndsWithoutSupervisor(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		known, unknown := b.request("known", driver), b.request("unknown", driver)
		b.run(known, exectest.Script("echo ready; exit 3")...)
		p := b.run(unknown, exectest.Script("echo ready; sleep 1000")...)
		await(t, b.ctx, b.output("unknown"), "ready")
		assert.Equal(t, b.exit("known", "").ExitCode, 3)
		b.Close()
		b.kill2(t)
		// Nobody who could tell sees this end: pid 1 reaps it.
		assert.NilError(t, syscall.Kill(p.Pid, syscall.SIGKILL))
		for syscall.Kill(p.Pid, 0) == nil && b.ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		b.connect()
		assert.Equal(t, b.exit("known", "").ExitCode, 3)
		e := b.exit("unknown", "")
		assert.Assert(t, e.ExitCode == 255 && e.Error != "", "%+v", e)
		assert.Equal(t, all(t, b.ctx, b.output("unknown"))[0], "ready\n")
	})
}

// kill2 ends the supervisor while no client is connected.
func (b *bench) kill2(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.root, "supervisor.lock"))
	assert.NilError(t, err)
	var pid int
	_, err = fmt.Sscan(string(text), &pid)
	assert.NilError(t, err)
	assert.NilError(t, syscall.Kill(pid, syscall.SIGKILL))
}

// TestExecsOutliveASupervisor: one goes on, one ended before and was not
// acknowledged, and one was.
func TestExecsOutliveASupervisor(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		b.run(b.request("c", driver), "sleep", "1000")
		start := func(id string, args ...string) {
			x, err := b.Exec(b.ctx, protocol.Exec{Container: "c", ExecID: id, Process: b.process(args...)}, client.Stdio{})
			assert.NilError(t, err)
			x.PidFD.Close()
		}
		start("lives", exectest.Script("trap 'exit 5' TERM", "while :; do sleep 0.02; done")...)
		start("told", exectest.Script("exit 6")...)
		start("acked", exectest.Script("exit 7")...)
		assert.Equal(t, b.exit("c", "told").ExitCode, 6)
		b.Ack(b.exit("c", "acked"))
		for { // Ack does not wait
			if _, err := os.Stat(filepath.Join(client.ContainerDir(b.root, "c"), "execs", "acked.json")); err != nil {
				break
			}
			assert.NilError(t, b.ctx.Err())
		}
		b.mu.Lock()
		clear(b.exits)
		b.mu.Unlock()
		b.kill()
		assert.Equal(t, b.exit("c", "told").ExitCode, 6)
		assert.NilError(t, b.ExecSignal(b.ctx, "c", "lives", syscall.SIGTERM))
		e := b.exit("c", "lives")
		assert.Assert(t, e.ExitCode == 5 || e.ExitCode == 143, "%+v", e) // 143: before it had set its trap
		b.mu.Lock()
		_, again := b.exits["c/acked"]
		b.mu.Unlock()
		assert.Assert(t, !again)
	})
}

// TestTheDaemonsPidFDKnowsTheExitCode: the container ends and is reaped by pid 1
// while no supervisor lives; the daemon lives and has held on.
func TestTheDaemonsPidFDKnowsTheExitCode(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		b.end()
		var blocked atomic.Bool
		b.connectWith(func() (*exec.Cmd, error) {
			if blocked.Load() {
				return nil, errors.New("not now")
			}
			return exec.Command("/proc/self/exe"), nil
		})
		q := b.request("c", driver)
		p := b.run(q, exectest.Script("trap 'echo last; exit 7' TERM", "echo ready", "while :; do sleep 0.02; done")...)
		await(t, b.ctx, b.output("c"), "ready")
		blocked.Store(true)
		b.kill()
		assert.NilError(t, syscall.Kill(p.Pid, syscall.SIGTERM))
		for syscall.Kill(p.Pid, 0) == nil && b.ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		blocked.Store(false)
		e := b.exit("c", "")
		if e.Error != "" && !kernelAtLeast(6, 15) {
			t.Skip("this kernel does not keep exit codes for pidfds")
		}
		assert.Equal(t, e.ExitCode, 7, "%s", e.Error)
		// Its last words were in the FIFO, which the daemon holds too.
		assert.Equal(t, all(t, b.ctx, b.output("c"))[0], "ready\nlast\n")
	})
}

func kernelAtLeast(major, minor int) bool {
	var u unix.Utsname
	var a, b int
	if unix.Uname(&u) != nil {
		return false
	}
	_, _ = fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &a, &b)
	return a > major || a == major && b >= minor
}

func TestHalfMadeContainerIsRemovedByTheSuccessor(t *testing.T) {
	b := newBench(t)
	b.run(b.request("whole", "fake"), "sleep", "1000")
	b.run(b.request("half", "fake"), "sleep", "1000")
	// As if it had been killed between the driver's Create and the state file.
	assert.NilError(t, os.Remove(filepath.Join(client.ContainerDir(b.root, "half"), "state.json")))
	b.kill()
	list, err := b.List(b.ctx)
	assert.NilError(t, err)
	assert.Equal(t, len(list), 1)
	assert.Equal(t, list[0].ID, "whole")
	_, err = os.Stat(filepath.Join(b.root, "fake", "half"))
	assert.Assert(t, os.IsNotExist(err))
	b.run(b.request("half", "fake"), "true")
	assert.Equal(t, b.exit("half", "").ExitCode, 0)
}

func TestDamagedStateHarmsNoOtherContainer(t *testing.T) {
	b := newBench(t)
	b.run(b.request("good", "fake"), "sleep", "1000")
	b.run(b.request("bad", "fake"), "sleep", "1000")
	state := filepath.Join(client.ContainerDir(b.root, "bad"), "state.json")
	assert.NilError(t, os.WriteFile(state, []byte("{garbage"), 0o600))
	b.kill()
	list, err := b.List(b.ctx)
	assert.NilError(t, err)
	assert.Equal(t, len(list), 1)
	assert.Equal(t, list[0].ID, "good")
	assert.NilError(t, b.Delete(b.ctx, "bad"))
	_, err = os.Stat(client.ContainerDir(b.root, "bad"))
	assert.Assert(t, os.IsNotExist(err))
}

// TestDamagedSpoolCostsOutputAndNotTheContainer: nor does a log that is gone.
func TestDamagedSpoolCostsOutputAndNotTheContainer(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{"spool", "log"} {
		q := b.request(id, "fake")
		assert.NilError(t, os.Mkdir(filepath.Join(b.root, id), 0o700))
		q.Log.Path = filepath.Join(b.root, id, "log")
		b.run(q, exectest.Script("echo before", "trap 'echo after; exit 3' TERM", "echo ready", "while :; do sleep 0.02; done")...)
		await(t, b.ctx, b.output(id), "ready")
	}
	assert.NilError(t, os.Truncate(filepath.Join(client.ContainerDir(b.root, "spool"), "commit"), 0))
	assert.NilError(t, os.RemoveAll(filepath.Join(b.root, "log")))
	b.kill()
	for _, id := range []string{"spool", "log"} {
		assert.NilError(t, b.Signal(b.ctx, id, syscall.SIGTERM))
		assert.Equal(t, b.exit(id, "").ExitCode, 3)
		assert.Assert(t, strings.HasSuffix(all(t, b.ctx, b.output(id))[0], "after\n"))
	}
}

func TestASecondSupervisorIsRefused(t *testing.T) {
	b := newBench(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{protocol.Name, "--exec-root", b.root}
	text, err := cmd.CombinedOutput()
	assert.Assert(t, err != nil)
	assert.Assert(t, bytes.Contains(text, fmt.Append(nil, b.Hello().Pid)), "%s", text)
	_, err = b.List(b.ctx)
	assert.NilError(t, err)
}

func TestShutdownWaitsForContainers(t *testing.T) {
	b := newBench(t)
	pid := b.Hello().Pid
	p := b.run(b.request("c", "fake"), "sleep", "1000")
	assert.NilError(t, b.Shutdown(b.ctx))
	assert.NilError(t, syscall.Kill(pid, syscall.SIGTERM)) // says the same
	assert.NilError(t, syscall.Kill(pid, syscall.SIGHUP))
	assert.NilError(t, syscall.Kill(pid, syscall.SIGINT))
	list, err := b.List(b.ctx)
	assert.NilError(t, err)
	assert.Equal(t, list[0].State, protocol.StateRunning)
	assert.NilError(t, b.Signal(b.ctx, "c", syscall.SIGKILL))
	b.exit("c", "")
	assert.NilError(t, syscall.Kill(pid, 0)) // there still is a container
	_ = p
}

func TestGarbageDoesNotHarmTheSupervisor(t *testing.T) {
	b := newBench(t)
	pid := b.Hello().Pid
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		c, err := net.Dial(protocol.Network, protocol.SocketPath(b.root))
		assert.NilError(t, err)
		u := c.(*net.UnixConn)
		text := []byte(`{"v":1,"seq":7,"op":"create","body":{"ID":"x","Driver":"fake"}}`)
		for range random.IntN(8) {
			text[random.IntN(len(text))] = byte(random.UintN(256))
		}
		switch random.IntN(4) {
		case 0:
			text = []byte(`{"v":1,"seq":1,"op":"exec","body":{"Container":"x","ExecID":"y","Process":null}}`)
		case 1:
			text = []byte(`{"v":1,"seq":1,"large":true}`)
		case 2:
			text = bytes.Repeat([]byte("["), 1+random.IntN(60000))
		}
		_, _, _ = u.WriteMsgUnix(text, unix.UnixRights(0, 1, 2), nil)
		c.Close()
	}
	_, err := b.List(b.ctx)
	assert.NilError(t, err)
	assert.Equal(t, b.Hello().Pid, pid)
	var fds []os.DirEntry
	for range 1000 { // the connections are closed by their own goroutines
		fds, err = os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		assert.NilError(t, err)
		if len(fds) < 40 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%d descriptors stay open", len(fds))
}
