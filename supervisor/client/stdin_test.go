package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/protocol"
)

// interactive asks for a container with stdin.
func (b *bench) interactive(id, driver string) protocol.Create {
	q := b.request(id, driver)
	q.OpenStdin = true
	return q
}

// say writes into a container's stdin, as an attach that comes and goes.
func (b *bench) say(id, text string) {
	b.t.Helper()
	w, err := b.OpenStdin(id)
	assert.NilError(b.t, err)
	_, err = w.WriteString(text)
	assert.NilError(b.t, err)
	assert.NilError(b.t, w.Close())
}

// signalled makes a script wait until it gets SIGUSR1, reading nothing.
const signalled = "while [ -z $go ]; do sleep 0.02; done; go="

// deaths are the ways in which those around a container die. Each ends with a
// daemon that is connected to a supervisor.
var deaths = map[string]func(b *bench){
	"daemon": func(b *bench) {
		b.Close()
		b.connect()
	},
	"supervisor": func(b *bench) { b.kill() },
	"both": func(b *bench) {
		b.Close()
		b.kill2(b.t)
		b.connect()
	},
}

func TestStdinCanBeOpenedAfterItsEnd(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		b.run(b.interactive("c", driver), exectest.Script("read a </proc/self/fd/0", "trap 'go=1' USR1", "echo got $a", signalled,
			"cat /proc/self/fd/0", "cat", "cat </proc/self/fd/0", "exit 3")...)
		b.say("c", "one\ntwo\n")
		await(t, b.ctx, b.output("c"), "got one")
		assert.NilError(t, b.CloseStdin(b.ctx, "c"))
		assert.NilError(t, b.Signal(b.ctx, "c", syscall.SIGUSR1))
		assert.Equal(t, b.exit("c", "").ExitCode, 3)
		assert.Equal(t, all(t, b.ctx, b.output("c"))[0], "got one\ntwo\n")
	})
}

// TestStdinOutlivesThoseAround: a container that waits in a read while either the
// daemon or the supervisor dies, again and again.
func TestStdinOutlivesThoseAround(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		b.run(b.interactive("c", driver), exectest.Script("echo ready", "while read a; do echo got $a; done", "cat /proc/self/fd/0", "exit 8")...)
		await(t, b.ctx, b.output("c"), "ready")
		for round := range 4 {
			for _, who := range []string{"daemon", "supervisor"} {
				deaths[who](b)
				list, err := b.List(b.ctx) // answered by whoever has taken over
				assert.NilError(t, err)
				assert.Assert(t, list[0].StdinOpen)
				word := fmt.Sprint(who, round)
				b.say("c", word+"\n")
				await(t, b.ctx, b.output("c"), "got "+word+"\n")
			}
		}
		assert.NilError(t, b.CloseStdin(b.ctx, "c"))
		e := b.exit("c", "")
		assert.Equal(t, e.ExitCode, 8, "%s", e.Error)
	})
}

// TestStdinIsFoundAgain: by a supervisor that comes when nobody has had a write
// end for a while; the container has it as stdin, under another number, or in a
// child only. Who reads at that moment sees the end of input, so nobody does.
func TestStdinIsFoundAgain(t *testing.T) {
	for name, script := range map[string][]string{
		"stdin": {"trap 'go=1' USR1", "echo ready", signalled, "while read a; do echo got $a; done", "exit 8"},
		"moved": {"exec 7<&0 </dev/null", "trap 'go=1' USR1", "echo ready", signalled, "while read a <&7; do echo got $a; done", "exit 8"},
		"child": {"exec 7<&0 </dev/null", "{ trap 'go=1' USR1; echo ready; " + signalled + "; while read a; do echo got $a; done; exit 8; } <&7 7<&- & exec 7<&-",
			"trap 'kill -USR1 $!' USR1", "wait $!; wait $!; exit $?"},
	} {
		t.Run(name, func(t *testing.T) {
			drivers(t, func(t *testing.T, b *bench, driver string) {
				b.run(b.interactive("c", driver), exectest.Script(script...)...)
				await(t, b.ctx, b.output("c"), "ready")
				deaths["both"](b)
				w, err := b.OpenStdin("c") // and so there is a writer when it reads
				assert.NilError(t, err)
				assert.NilError(t, b.Signal(b.ctx, "c", syscall.SIGUSR1))
				_, err = w.WriteString("word\n")
				assert.NilError(t, err)
				await(t, b.ctx, b.output("c"), "got word")
				assert.NilError(t, w.Close())
				// The supervisor has one as well.
				deaths["daemon"](b)
				b.say("c", "again\n")
				await(t, b.ctx, b.output("c"), "got again")
				assert.NilError(t, b.CloseStdin(b.ctx, "c"))
				assert.Equal(t, b.exit("c", "").ExitCode, 8)
			})
		})
	}
}

func TestAClosedStdinStaysClosed(t *testing.T) {
	for who, die := range deaths {
		t.Run(who, func(t *testing.T) {
			drivers(t, func(t *testing.T, b *bench, driver string) {
				b.run(b.interactive("c", driver), exectest.Script("trap 'go=1' USR1", "cat", "echo end", signalled, "cat", "cat /proc/self/fd/0", "exit 4")...)
				assert.NilError(t, b.CloseStdin(b.ctx, "c"))
				await(t, b.ctx, b.output("c"), "end")
				die(b)
				list, err := b.List(b.ctx)
				assert.NilError(t, err)
				assert.Assert(t, !list[0].StdinOpen)
				_, err = b.OpenStdin("c")
				assert.Assert(t, errors.Is(err, execdriver.ErrNotRunning), "%v", err)
				assert.NilError(t, b.CloseStdin(b.ctx, "c"))
				assert.NilError(t, b.Signal(b.ctx, "c", syscall.SIGUSR1))
				assert.Equal(t, b.exit("c", "").ExitCode, 4)
			})
		})
	}
}

// TestCloseStdinClosesEveryWriteEnd: two clients may be attached, and the end of
// one's input is the end of the container's.
func TestCloseStdinClosesEveryWriteEnd(t *testing.T) {
	b := newBench(t)
	b.run(b.interactive("c", "fake"), exectest.Script("while read a; do echo got $a; done", "exit 5")...)
	one, err := b.OpenStdin("c")
	assert.NilError(t, err)
	defer one.Close()
	two, err := b.OpenStdin("c")
	assert.NilError(t, err)
	for i, w := range []*client.Input{one, two} {
		_, err = fmt.Fprintln(w, i)
		assert.NilError(t, err)
		await(t, b.ctx, b.output("c"), fmt.Sprintf("got %d\n", i))
	}
	assert.NilError(t, two.Close())
	assert.NilError(t, b.CloseStdin(b.ctx, "c"))
	assert.Equal(t, b.exit("c", "").ExitCode, 5)
	_, err = fmt.Fprintln(one, "late")
	assert.Assert(t, errors.Is(err, os.ErrClosed), "%v", err)
	_, err = b.OpenStdin("c")
	assert.Assert(t, errors.Is(err, execdriver.ErrNotRunning), "%v", err)
}

func TestStdinThatNobodyReadsTellsSo(t *testing.T) {
	b := newBench(t)
	b.run(b.interactive("c", "fake"), exectest.Script("exec </dev/null", "echo closed", "exec sleep 1000")...)
	await(t, b.ctx, b.output("c"), "closed")
	_, err := b.OpenStdin("c")
	assert.Assert(t, errors.Is(err, execdriver.ErrNotRunning), "%v", err)
	b.kill()
	_, err = b.List(b.ctx)
	assert.NilError(t, err)
	_, err = b.OpenStdin("c")
	assert.Assert(t, errors.Is(err, execdriver.ErrNotRunning), "%v", err)
}

// TestAnEarlierDaemonsStdinIsAdopted: a daemon of version 2 opens stdin by its
// name, and containers that it has made are taken over by later ones.
func TestAnEarlierDaemonsStdinIsAdopted(t *testing.T) {
	for who, die := range deaths {
		t.Run(who, func(t *testing.T) {
			drivers(t, func(t *testing.T, b *bench, driver string) {
				q := b.interactive("c", driver)
				q.Op = "one"
				b.writeBundle(q, exectest.Script("trap 'go=1' USR1", "echo ready", signalled, "while read a; do echo got $a; done", "exit 6")...)
				old := b.speak(2)
				assert.Equal(t, old.ask(protocol.OpCreate, q), 1) // the pidfd
				assert.Equal(t, old.ask(protocol.OpTake, protocol.Target{ID: "c"}), 1)
				assert.Equal(t, old.ask(protocol.OpStart, protocol.Start{ID: "c", Op: "two"}), 0)
				f, err := os.OpenFile(filepath.Join(client.ContainerDir(b.root, "c"), "stdin"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
				assert.NilError(t, err) // as it did
				await(t, b.ctx, b.output("c"), "ready")
				b.Close()
				b.connect()
				die(b)
				w, err := b.OpenStdin("c")
				assert.NilError(t, err)
				assert.NilError(t, b.Signal(b.ctx, "c", syscall.SIGUSR1))
				_, err = w.WriteString("word\n")
				assert.NilError(t, err)
				await(t, b.ctx, b.output("c"), "got word")
				assert.NilError(t, w.Close())
				assert.NilError(t, f.Close())
				assert.NilError(t, b.CloseStdin(b.ctx, "c"))
				assert.Equal(t, b.exit("c", "").ExitCode, 6)
			})
		})
	}
}

// earlier is a daemon of another version.
type earlier struct {
	b   *bench
	c   *protocol.Conn
	seq uint64
}

func (b *bench) speak(version int) *earlier {
	b.t.Helper()
	c, err := net.Dial(protocol.Network, protocol.SocketPath(b.root))
	assert.NilError(b.t, err)
	b.t.Cleanup(func() { c.Close() })
	e := &earlier{b: b, c: protocol.NewConn(c.(*net.UnixConn))}
	e.ask(protocol.OpHello, protocol.Hello{Version: version})
	e.c.Speak(version)
	return e
}

// ask gives the number of descriptors that came with the answer.
func (e *earlier) ask(op string, body any) int {
	e.b.t.Helper()
	text, err := json.Marshal(body)
	assert.NilError(e.b.t, err)
	e.seq++
	assert.NilError(e.b.t, e.c.Send(protocol.Message{Seq: e.seq, Op: op, Body: text}))
	m, files, err := e.c.Receive()
	assert.NilError(e.b.t, err)
	protocol.CloseAll(files)
	assert.Equal(e.b.t, m.Seq, e.seq)
	assert.Assert(e.b.t, m.Error == nil, "%s: %+v", op, m.Error)
	return len(files)
}

// TestStdinsUnderLoad: many at a time, with the supervisor killed in between; each
// gets its own words and its end.
func TestStdinsUnderLoad(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		const many = 12
		var said, each sync.WaitGroup
		killed := make(chan struct{})
		for i := range many {
			id := fmt.Sprint("c", i)
			said.Add(1)
			each.Go(func() {
				saidIt := sync.OnceFunc(said.Done)
				defer saidIt()
				b.run(b.interactive(id, driver), exectest.Script("while read a; do echo $a; done", "cat /proc/self/fd/0", "exit 9")...)
				b.say(id, "first of "+id+"\n")
				await(t, b.ctx, b.output(id), "first of "+id)
				saidIt()
				<-killed
				b.say(id, "second of "+id+"\n")
				assert.Check(t, b.CloseStdin(b.ctx, id))
				assert.Check(t, b.exit(id, "").ExitCode == 9)
				assert.Check(t, all(t, b.ctx, b.output(id))[0] == "first of "+id+"\nsecond of "+id+"\n")
			})
		}
		said.Wait()
		b.kill()
		close(killed)
		each.Wait()
	})
}
