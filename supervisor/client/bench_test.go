package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/execdriver/fake"
	"github.com/jobengine/engine/execdriver/native"
	"github.com/jobengine/engine/supervisor"
	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/protocol"
	"github.com/jobengine/engine/supervisor/spool"
)

// The test binary is its own supervisor, as any program that embeds ours can be.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == protocol.Name {
		drivers := supervisor.Drivers{"fake": fake.New, "panicky": newPanicky}
		if os.Geteuid() == 0 {
			drivers["native"] = native.New
		}
		os.Exit(supervisor.Main(os.Args[1:], drivers))
	}
	os.Exit(m.Run())
}

// panicky panics where a container's name asks for it, or ends the whole supervisor.
type panicky struct{ *fake.Driver }

func newPanicky(o execdriver.Options) (execdriver.Driver, error) {
	d, err := fake.New(o)
	if err != nil {
		return nil, err
	}
	return panicky{d.(*fake.Driver)}, nil
}

func (d panicky) Create(ctx context.Context, id string, b execdriver.Bundle, s execdriver.Stdio) (execdriver.Process, error) {
	if strings.HasPrefix(id, "panic-create") {
		panic("as asked")
	}
	if id == "die-early" {
		os.Exit(9)
	}
	p, err := d.Driver.Create(ctx, id, b, s)
	if id == "die-late" {
		os.Exit(9)
	}
	return p, err
}

func (d panicky) Exec(ctx context.Context, id string, p *specs.Process, s execdriver.Stdio) (execdriver.Process, error) {
	panic("as asked")
}

// bench is a client with a supervisor of its own.
type bench struct {
	*client.Client
	t      testing.TB
	ctx    context.Context
	root   string
	rootfs string
	wanted []protocol.Driver // what its daemon asks for

	heard journal

	mu    sync.Mutex
	exits map[string]protocol.Exit // by container, or container/exec
	more  *sync.Cond
}

func newBench(t testing.TB) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	b := &bench{t: t, ctx: ctx, root: t.TempDir(), rootfs: exectest.RootFS(t)}
	t.Cleanup(b.dumpLog)
	b.more = sync.NewCond(&b.mu)
	b.connect()
	t.Cleanup(b.end)
	return b
}

// connect makes a client, as a daemon that starts does.
func (b *bench) connect() {
	b.t.Helper()
	b.connectWith(nil)
}

func (b *bench) connectWith(command func() (*exec.Cmd, error)) {
	b.t.Helper()
	b.connectAs(command, "")
}

// connectAs is a daemon whose supervisor is of the given build.
func (b *bench) connectAs(command func() (*exec.Cmd, error), build string) {
	b.t.Helper()
	c, err := client.Open(b.ctx, client.Options{ExecRoot: b.root, Log: b.heard.add, Command: command, Build: build, Drivers: b.wanted})
	assert.NilError(b.t, err)
	b.Client = c
	exits := map[string]protocol.Exit{} // a former daemon may still be hearing of some
	b.mu.Lock()
	b.exits = exits
	b.mu.Unlock()
	go func() {
		for e := range c.Exits() {
			b.mu.Lock()
			exits[exitKey(e.Container, e.ExecID)] = e
			b.mu.Unlock()
			b.more.Broadcast()
		}
	}()
}

func exitKey(id, exec string) string { return strings.TrimSuffix(id+"/"+exec, "/") }

// end removes every container, and waits until the supervisor is gone.
func (b *bench) end() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	pid := b.Hello().Pid
	list, err := b.List(ctx)
	assert.Check(b.t, err)
	for _, c := range list {
		assert.Check(b.t, b.Delete(ctx, c.ID))
	}
	assert.Check(b.t, b.Shutdown(ctx))
	b.Close()
	for range 2000 {
		if syscall.Kill(pid, 0) != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.t.Errorf("supervisor %d does not end", pid)
}

func (b *bench) dumpLog() {
	text, err := os.ReadFile(filepath.Join(b.root, "supervisor.log"))
	if strings.Contains(string(text), "DATA RACE") { // with -race the supervisor is watched, too
		b.t.Error("the supervisor has a data race")
	}
	if err == nil && b.t.Failed() {
		b.t.Logf("the last of supervisor.log:\n%s", last(string(text), 20))
		b.t.Logf("the last of the client's log:\n%s", last(b.heard.text(), 10))
	}
}

// journal keeps what a client logs: hundreds of lines where supervisors are killed, and
// of interest only if the test fails.
type journal struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintf(&j.lines, time.Now().Format("15:04:05.000 ")+format+"\n", args...)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.String()
}

// last gives the last n lines of a text.
func last(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n-1):], "")
}

// exit waits until the end of a container or exec is told.
func (b *bench) exit(id, exec string) protocol.Exit {
	b.t.Helper()
	stop := context.AfterFunc(b.ctx, b.more.Broadcast)
	defer stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if e, ok := b.exits[exitKey(id, exec)]; ok {
			return e
		}
		if b.ctx.Err() != nil {
			b.t.Fatalf("no exit of %s %s is told", id, exec)
		}
		b.more.Wait()
	}
}

// drivers runs a test with each exec driver that this user can use.
func drivers(t *testing.T, f func(t *testing.T, b *bench, driver string)) {
	t.Run("fake", func(t *testing.T) { f(t, newBench(t), "fake") })
	if os.Geteuid() == 0 {
		t.Run("native", func(t *testing.T) { f(t, newBench(t), "native") })
	}
}

func (b *bench) request(id, driver string) protocol.Create {
	return protocol.Create{
		ID: id, Driver: driver, BundleDir: client.BundleDir(b.root, id), Run: 1,
		Log:      protocol.Log{Driver: "json-file", Path: b.logPath(id)},
		ExitFile: filepath.Join(b.root, id+".exit"),
	}
}

func (b *bench) logPath(id string) string { return filepath.Join(b.root, id+"-json.log") }

func (b *bench) writeBundle(q protocol.Create, args ...string) {
	spec := exectest.Spec(b.rootfs, args...)
	spec.Process.Terminal = q.Tty
	exectest.WriteBundle(b.t, q.BundleDir, spec)
}

func (b *bench) create(q protocol.Create, args ...string) client.Started {
	b.t.Helper()
	b.writeBundle(q, args...)
	p, err := b.Create(b.ctx, q)
	assert.NilError(b.t, err)
	b.t.Cleanup(func() { p.PidFD.Close() })
	return p
}

func (b *bench) run(q protocol.Create, args ...string) client.Started {
	b.t.Helper()
	p := b.create(q, args...)
	assert.NilError(b.t, b.Start(b.ctx, q.ID))
	return p
}

func (b *bench) output(id string) *client.Output {
	b.t.Helper()
	out, err := b.Output(b.ctx, id)
	assert.NilError(b.t, err)
	b.t.Cleanup(func() { out.Close() })
	return out
}

// await reads both streams until want is in one of them.
func await(t testing.TB, ctx context.Context, out *client.Output, want string) {
	t.Helper()
	assert.NilError(t, awaited(ctx, out, want))
}

func awaited(ctx context.Context, out *client.Output, want string) error {
	found := errors.New("found")
	var got [spool.Streams]string
	err := out.Copy(ctx, [spool.Streams]int64{}, func(s spool.Stream, p []byte) error {
		got[s] += string(p)
		if strings.Contains(got[s], want) {
			return found
		}
		return nil
	})
	if errors.Is(err, found) {
		return nil
	}
	return fmt.Errorf("no %q in %q: %w", want, got, err)
}

// all reads both streams to their ends.
func all(t testing.TB, ctx context.Context, out *client.Output) [spool.Streams]string {
	t.Helper()
	var got [spool.Streams]string
	err := out.Copy(ctx, [spool.Streams]int64{}, func(s spool.Stream, p []byte) error {
		got[s] += string(p)
		return nil
	})
	assert.NilError(t, err)
	return got
}

type record struct {
	Log    string            `json:"log"`
	Stream string            `json:"stream"`
	Attrs  map[string]string `json:"attrs"`
	Time   time.Time         `json:"time"`
}

// records reads log files, oldest first, and fails on a torn record.
func records(t testing.TB, paths ...string) []record {
	t.Helper()
	var out []record
	for _, path := range paths {
		text, err := os.ReadFile(path)
		assert.NilError(t, err)
		for i, line := range strings.SplitAfter(string(text), "\n") {
			if line == "" {
				continue
			}
			var r record
			if err := json.Unmarshal([]byte(line), &r); err != nil || !strings.HasSuffix(line, "\n") {
				t.Fatalf("%s: record %d is torn: %q: %v", path, i, line, err)
			}
			out = append(out, r)
		}
	}
	return out
}

// wantNumbers fails unless the records of a stream are the lines 1…n, once each and in order.
func wantNumbers(t testing.TB, rs []record, stream string, n int) {
	t.Helper()
	next := 1
	for _, r := range rs {
		if r.Stream != stream {
			continue
		}
		if want := fmt.Sprintf("%d\n", next); r.Log != want {
			t.Fatalf("%s: %q instead of %q", stream, r.Log, want)
		}
		next++
	}
	if next-1 != n {
		t.Fatalf("%s has %d lines, want %d", stream, next-1, n)
	}
}
