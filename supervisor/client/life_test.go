package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/protocol"
)

func TestWholeLifeOfAContainer(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		q := b.request("c", driver)
		q.Log.Attrs = map[string]string{"tag": "x"}
		p := b.create(q, exectest.Script("echo out", "echo err >&2", "exit 3")...)
		list, err := b.List(b.ctx)
		assert.NilError(t, err)
		assert.DeepEqual(t, list, []protocol.Container{{ID: "c", Driver: driver, State: "created", Pid: p.Pid, StartTime: p.StartTime, Run: 1}})

		out := b.output("c")
		assert.NilError(t, b.Start(b.ctx, "c"))
		e := b.exit("c", "")
		assert.Equal(t, e.ExitCode, 3)
		assert.Equal(t, e.Error, "")
		assert.Equal(t, e.OOMKilled, false)
		assert.Equal(t, e.Pid, p.Pid)

		// At this moment everything is complete: exit record, log, output.
		var saved protocol.Exit
		text, err := os.ReadFile(q.ExitFile)
		assert.NilError(t, err)
		assert.NilError(t, json.Unmarshal(text, &saved))
		saved.Number, saved.Epoch = e.Number, e.Epoch
		assert.DeepEqual(t, saved, e)
		assert.Assert(t, out.Ended())
		assert.DeepEqual(t, all(t, b.ctx, out), [2]string{"out\n", "err\n"})
		got := map[string]string{}
		for _, r := range records(t, q.Log.Path) {
			got[r.Stream] += r.Log
			assert.DeepEqual(t, r.Attrs, q.Log.Attrs)
		}
		assert.DeepEqual(t, got, map[string]string{"stdout": "out\n", "stderr": "err\n"})

		assert.NilError(t, b.Delete(b.ctx, "c"))
		assert.NilError(t, b.Delete(b.ctx, "c"))
		_, err = os.Stat(client.ContainerDir(b.root, "c"))
		assert.Assert(t, errors.Is(err, os.ErrNotExist))
		list, err = b.List(b.ctx)
		assert.NilError(t, err)
		assert.Equal(t, len(list), 0)
		assert.Equal(t, all(t, b.ctx, out)[0], "out\n") // an attached reader outlives the container
	})
}

func TestFailedCreateLeavesNothingAndTellsWhy(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		for arg, class := range map[string]error{"no-such": execdriver.ErrNoProgram, "/etc/passwd": execdriver.ErrNotExecutable} {
			q := b.request("c", driver)
			b.writeBundle(q, arg)
			_, err := b.Create(b.ctx, q)
			assert.Assert(t, errors.Is(err, class), "%v", err)
			assert.Assert(t, strings.HasPrefix(err.Error(), "unable to start container process: exec: "), "%v", err)
			entries, err := os.ReadDir(client.ContainerDir(b.root, "c"))
			assert.NilError(t, err)
			assert.Equal(t, len(entries), 1, "%v", entries) // the bundle
			list, err := b.List(b.ctx)
			assert.NilError(t, err)
			assert.Equal(t, len(list), 0)
		}
		b.run(b.request("c", driver), "true") // and the id is free
		assert.Equal(t, b.exit("c", "").ExitCode, 0)
	})
}

func TestBadRequestsAreRefused(t *testing.T) {
	b := newBench(t)
	good := b.request("c", "fake")
	b.writeBundle(good, "true")
	for name, change := range map[string]func(*protocol.Create){
		"no id":          func(q *protocol.Create) { q.ID = "" },
		"id with slash":  func(q *protocol.Create) { q.ID = "a/b" },
		"id with dots":   func(q *protocol.Create) { q.ID = ".." },
		"long id":        func(q *protocol.Create) { q.ID = strings.Repeat("a", 129) },
		"unknown driver": func(q *protocol.Create) { q.Driver = "lxc" },
		"relative path":  func(q *protocol.Create) { q.BundleDir = "bundle" },
		"unknown log":    func(q *protocol.Create) { q.Log.Driver = "syslog" },
		"tty mismatch":   func(q *protocol.Create) { q.Tty = true },
	} {
		q := good
		change(&q)
		_, err := b.Create(b.ctx, q)
		assert.Assert(t, errors.Is(err, protocol.ErrInvalid), "%s: %v", name, err)
	}
	assert.NilError(t, os.WriteFile(filepath.Join(good.BundleDir, "config.json"), []byte(`{"process":`), 0o600))
	_, err := b.Create(b.ctx, good)
	assert.Assert(t, errors.Is(err, protocol.ErrInvalid), "%v", err)
	for _, err := range []error{
		b.Start(b.ctx, "absent"), b.Signal(b.ctx, "absent", syscall.SIGTERM), b.Pause(b.ctx, "absent"), b.CloseStdin(b.ctx, "absent"),
	} {
		assert.Assert(t, errors.Is(err, execdriver.ErrNotFound), "%v", err)
	}
	_, err = b.Output(b.ctx, "absent")
	assert.Assert(t, errors.Is(err, execdriver.ErrNotFound), "%v", err)
}

func TestDeleteEndsARunningContainerAndTellsItsExit(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		b.run(b.request("c", driver), "sleep", "1000")
		x, err := b.Exec(b.ctx, protocol.Exec{Container: "c", ExecID: "x", Process: b.process("sleep", "1000")}, client.Stdio{})
		assert.NilError(t, err)
		defer x.PidFD.Close()
		assert.NilError(t, b.Delete(b.ctx, "c"))
		assert.Equal(t, b.exit("c", "").ExitCode, 137)
		assert.Equal(t, b.exit("c", "x").ExitCode, 137)
	})
}

func TestSignalPauseAndPids(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		q := b.request("c", driver)
		b.run(q, exectest.Script("trap 'exit 7' TERM", "echo ready", "while :; do sleep 0.02; done")...)
		await(t, b.ctx, b.output("c"), "ready")
		pids, err := b.Pids(b.ctx, "c")
		assert.NilError(t, err)
		assert.Assert(t, len(pids) >= 1)
		for _, paused := range []bool{true, false} {
			if paused {
				assert.NilError(t, b.Pause(b.ctx, "c"))
			} else {
				assert.NilError(t, b.Resume(b.ctx, "c"))
			}
			b.kill() // the successor knows, too
			list, err := b.List(b.ctx)
			assert.NilError(t, err)
			assert.Equal(t, list[0].Paused, paused)
		}
		assert.NilError(t, b.Signal(b.ctx, "c", syscall.SIGTERM))
		assert.Equal(t, b.exit("c", "").ExitCode, 7)
		assert.Assert(t, errors.Is(b.Signal(b.ctx, "c", syscall.SIGTERM), execdriver.ErrNotRunning))
		assert.Assert(t, errors.Is(b.Pause(b.ctx, "c"), execdriver.ErrNotRunning))
		_, err = b.Exec(b.ctx, protocol.Exec{Container: "c", ExecID: "x", Process: b.process("true")}, client.Stdio{})
		assert.Assert(t, errors.Is(err, execdriver.ErrNotRunning), "%v", err)
	})
}

func (b *bench) process(args ...string) *specs.Process {
	return exectest.Spec(b.rootfs, args...).Process
}

func TestStdinIsHalfClosed(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		q := b.request("c", driver)
		q.OpenStdin = true
		b.run(q, exectest.Script("cat", "echo end")...)
		out := b.output("c")
		for _, word := range []string{"one\n", "two\n"} { // attaches come and go
			w, err := b.OpenStdin("c")
			assert.NilError(t, err)
			_, err = w.WriteString(word)
			assert.NilError(t, err)
			assert.NilError(t, w.Close())
			await(t, b.ctx, out, word)
		}
		assert.NilError(t, b.CloseStdin(b.ctx, "c"))
		assert.Equal(t, b.exit("c", "").ExitCode, 0)
		assert.Equal(t, all(t, b.ctx, out)[0], "one\ntwo\nend\n")
		_, err := b.OpenStdin("c")
		assert.Assert(t, errors.Is(err, execdriver.ErrNotRunning), "%v", err)
	})
}

func TestStdinIsEmptyUnlessAskedFor(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		b.run(b.request("c", driver), exectest.Script("cat", "exit 5")...)
		assert.Equal(t, b.exit("c", "").ExitCode, 5)
	})
}

func TestTerminal(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		q := b.request("c", driver)
		q.Tty, q.OpenStdin = true, true
		p := b.create(q, exectest.Script("read a", "stty size", "echo got $a", "printf end")...)
		assert.Assert(t, p.TTY != nil)
		defer p.TTY.Close()
		assert.NilError(t, client.Resize(p.TTY, 12, 34))
		assert.NilError(t, b.Start(b.ctx, "c"))
		again, err := b.TTY(b.ctx, "c") // as a new daemon asks
		assert.NilError(t, err)
		defer again.Close()
		_, err = again.WriteString("word\n")
		assert.NilError(t, err)
		assert.Equal(t, b.exit("c", "").ExitCode, 0)
		out := b.output("c")
		assert.DeepEqual(t, all(t, b.ctx, out), [2]string{"word\r\n12 34\r\ngot word\r\nend", ""})
		var log string
		for _, r := range records(t, q.Log.Path) {
			log += r.Log
			assert.Equal(t, r.Stream, "stdout")
		}
		assert.Equal(t, log, "word\r\n12 34\r\ngot word\r\nend")
	})
}

func TestExecOwnsItsDescriptors(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		b.run(b.request("c", driver), "sleep", "1000")
		r, w, err := os.Pipe()
		assert.NilError(t, err)
		defer r.Close()
		q := protocol.Exec{Container: "c", ExecID: "x", Process: b.process(exectest.Script("cat", "echo err >&2", "exit 9")...)}
		x, err := b.Exec(b.ctx, q, client.Stdio{Stdout: w, Stderr: w})
		assert.NilError(t, err)
		x.PidFD.Close()
		w.Close()
		text := make([]byte, 100)
		n, err := r.Read(text) // nobody else holds the write end
		assert.NilError(t, err)
		assert.Equal(t, string(text[:n]), "err\n")
		n, _ = r.Read(text)
		assert.Equal(t, n, 0)
		assert.Equal(t, b.exit("c", "x").ExitCode, 9)

		q.ExecID, q.Process = "long", b.process("sleep", "1000")
		x, err = b.Exec(b.ctx, q, client.Stdio{})
		assert.NilError(t, err)
		x.PidFD.Close()
		assert.NilError(t, b.ExecSignal(b.ctx, "c", "long", syscall.SIGTERM))
		assert.Equal(t, b.exit("c", "long").ExitCode, 143)
		assert.Assert(t, errors.Is(b.ExecSignal(b.ctx, "c", "long", syscall.SIGTERM), execdriver.ErrNotFound))

		q.ExecID, q.Process = "missing", b.process("no-such")
		_, err = b.Exec(b.ctx, q, client.Stdio{})
		assert.Assert(t, errors.Is(err, execdriver.ErrNoProgram), "%v", err)
	})
}

func TestExecTerminal(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		b.run(b.request("c", driver), "sleep", "1000")
		q := protocol.Exec{Container: "c", ExecID: "x", Process: b.process(exectest.Script("test -t 0 && echo yes")...)}
		q.Process.Terminal = true
		x, err := b.Exec(b.ctx, q, client.Stdio{})
		assert.NilError(t, err)
		defer x.PidFD.Close()
		defer x.TTY.Close()
		text := make([]byte, 100)
		n, err := x.TTY.Read(text)
		assert.NilError(t, err)
		assert.Equal(t, string(text[:n]), "yes\r\n")
		assert.Equal(t, b.exit("c", "x").ExitCode, 0)
	})
}

func TestLargeRequestsPass(t *testing.T) {
	b := newBench(t)
	b.run(b.request("c", "fake"), "sleep", "1000")
	q := protocol.Exec{Container: "c", ExecID: "x", Process: b.process(exectest.Script("exit ${#BIG7}")...)}
	for i := range 20 { // more than one packet holds
		q.Process.Env = append(q.Process.Env, fmt.Sprintf("BIG%d=%s", i, strings.Repeat("x", 60000+i)))
	}
	q.Process.Args[2] = "[ ${#BIG7} = 60007 ]"
	x, err := b.Exec(b.ctx, q, client.Stdio{})
	assert.NilError(t, err)
	x.PidFD.Close()
	assert.Equal(t, b.exit("c", "x").ExitCode, 0)
}

func TestAPanicOverOneContainerTouchesNoOther(t *testing.T) {
	b := newBench(t)
	pid := b.Hello().Pid
	b.run(b.request("c", "panicky"), "sleep", "1000")
	q := b.request("panic-create", "panicky")
	b.writeBundle(q, "true")
	for range 2 { // the id is not blocked afterwards
		_, err := b.Create(b.ctx, q)
		assert.ErrorContains(t, err, "internal error in create")
	}
	for range 2 {
		_, err := b.Exec(b.ctx, protocol.Exec{Container: "c", ExecID: "x", Process: b.process("true")}, client.Stdio{})
		assert.ErrorContains(t, err, "internal error in exec")
	}
	assert.NilError(t, b.Signal(b.ctx, "c", syscall.SIGKILL))
	assert.Equal(t, b.exit("c", "").ExitCode, 137)
	assert.Equal(t, b.Hello().Pid, pid)
}

// A daemon that is started while the supervisor of the former one ends gets one that can be reached.
func TestAnEndingSupervisorLeavesTheSocketOfItsSuccessor(t *testing.T) {
	b := newBench(t)
	for range 50 {
		pid := b.Hello().Pid
		var starts sync.WaitGroup
		for range 4 {
			starts.Go(func() {
				for range 10 { // or until there is another one; whoever comes in time makes it stay
					c, err := client.Open(b.ctx, client.Options{ExecRoot: b.root})
					if !assert.Check(t, err) {
						return
					}
					now := c.Hello().Pid
					c.Close()
					if now != pid {
						return
					}
				}
			})
		}
		_ = b.Shutdown(b.ctx)
		b.Close()
		starts.Wait()
		b.connect()
		if t.Failed() {
			return
		}
	}
}
