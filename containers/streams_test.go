package containers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
	"github.com/jobengine/engine/logs/driver"
	"github.com/jobengine/engine/logs/jsonfile"
	"github.com/jobengine/engine/supervisor/spool"
)

// screens is a stand-in runtime whose containers print what the test says, into
// a real spool and a real log.
type screens struct {
	*standIn
	mu    sync.Mutex
	of    map[string]*screen
	execs map[string]*standInExec
	stdin map[string]*os.File // the container's end

	terminal *os.File // what TTY gives
}

// screen is the output of one run.
type screen struct {
	dir  string
	w    *spool.Writer
	log  *jsonfile.Writer // nil without one
	mu   sync.Mutex
	at   spool.Commit
	bell chan struct{} // closed and replaced at each news
}

func newStreamsWorld(t *testing.T) (*world, *screens) {
	t.Helper()
	w := closedWorld(t)
	r := &screens{standIn: w.runtime, of: map[string]*screen{}, execs: map[string]*standInExec{}, stdin: map[string]*os.File{}}
	t.Cleanup(func() { r.closeAll() }) // after the noun is closed
	w.screens = r
	w.open(t)
	w.cfg.Logs = map[string]driver.Open{"json-file": jsonfile.Open}
	return w, r
}

func (r *screens) Create(ctx context.Context, q RunSpec) (Process, error) {
	p, err := r.standIn.Create(ctx, q)
	if err != nil {
		return p, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(q.BundleDir), "screen")
	if err != nil {
		return p, err
	}
	sc := &screen{dir: dir, bell: make(chan struct{})}
	if sc.w, err = spool.Create(dir, uint64(q.Run), q.Tty); err != nil {
		return p, err
	}
	if q.Log.Driver == "json-file" {
		sc.log, err = jsonfile.OpenWriter(q.Log.Path, jsonfile.WriterOptions{MaxSizeBytes: q.Log.MaxSizeBytes, MaxFiles: q.Log.MaxFiles})
		if err != nil {
			return p, err
		}
	}
	sc.commit()
	if q.OpenStdin && !q.Tty {
		path := filepath.Join(dir, "stdin")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			return p, err
		}
		in, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return p, err
		}
		r.mu.Lock()
		r.stdin[q.ID] = in
		r.mu.Unlock()
	}
	r.mu.Lock()
	r.of[q.ID] = sc
	r.mu.Unlock()
	return p, nil
}

func (r *screens) screen(id string) *screen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[id]
}

// print writes to a stream, and whole lines of it to the log.
func (r *screens) print(id string, s Stream, text string) {
	r.screen(id).print(spool.Stream(s), text)
}

func (sc *screen) print(s spool.Stream, text string) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	must(sc.w.Write(s, []byte(text)))
	sc.forward(s, false)
	sc.commit()
	sc.ring()
}

func (sc *screen) forward(s spool.Stream, last bool) {
	buf := make([]byte, sc.w.Written(s)-sc.at.Offset[s])
	n, _ := sc.w.ReadAt(s, buf, sc.at.Offset[s])
	buf = buf[:n]
	for len(buf) > 0 {
		i := bytes.IndexByte(buf, '\n') + 1
		if i == 0 {
			if !last {
				break
			}
			i = len(buf)
		}
		if sc.log != nil {
			if sc.log.Full(0) {
				must(sc.log.Rotate())
			}
			must(sc.log.Write(sc.log.Append(nil, s.String(), buf[:i], time.Now())))
		}
		sc.at.Offset[s] += int64(i)
		buf = buf[i:]
	}
}

func (sc *screen) commit() {
	if sc.log != nil {
		sc.at.LogSize, sc.at.LogInode = sc.log.Size(), sc.log.Inode()
	}
	sc.w.Commit(sc.at)
}

func (sc *screen) ring() {
	close(sc.bell)
	sc.bell = make(chan struct{})
}

func (sc *screen) finish() {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	for _, s := range []spool.Stream{spool.Stdout, spool.Stderr} {
		sc.w.End(s)
		sc.forward(s, true)
	}
	sc.commit()
	sc.ring()
}

// end lets the container end with its output complete, as the supervisor does.
func (r *screens) end(id string, code int) {
	r.screen(id).finish()
	r.standIn.exit(id, code)
}

func (r *screens) Signal(ctx context.Context, id string, sig syscall.Signal) error {
	if sig == syscall.SIGKILL || sig == syscall.SIGTERM {
		r.screen(id).finish()
	}
	return r.standIn.Signal(ctx, id, sig)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// screenOutput is what the daemon sees of a screen.
type screenOutput struct {
	*spool.Reader
	sc   *screen
	seen chan struct{}
}

func (r *screens) Output(_ context.Context, id string) (Output, error) {
	sc := r.screen(id)
	if sc == nil {
		return nil, ErrAbsent
	}
	rd, err := spool.OpenReader(sc.dir)
	if err != nil {
		return nil, ErrAbsent
	}
	return &screenOutput{Reader: rd, sc: sc}, nil
}

// OpenStdin opens a container's FIFO as the supervisor's client does.
func (r *screens) OpenStdin(id string) (io.WriteCloser, error) {
	return os.OpenFile(filepath.Join(r.screen(id).dir, "stdin"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
}

func (r *screens) TTY(context.Context, string) (*os.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.terminal, nil
}

func (r *screens) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *screens) CloseStdin(context.Context, string) error {
	r.standIn.mu.Lock()
	defer r.standIn.mu.Unlock()
	r.standIn.calls = append(r.standIn.calls, "CloseStdin")
	r.standIn.cond.Broadcast()
	return nil
}

func (r *screens) seenCalls() []string {
	r.standIn.mu.Lock()
	defer r.standIn.mu.Unlock()
	return slices.Clone(r.standIn.calls)
}

func (r *screens) awaitCall(t *testing.T, name string) {
	t.Helper()
	for range 4000 {
		if slices.Contains(r.seenCalls(), name) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s was not called", name)
}

func (r *screens) Delete(ctx context.Context, id string) error {
	err := r.standIn.Delete(ctx, id)
	r.close(id)
	return err
}

func (r *screens) close(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if sc := r.of[id]; sc != nil {
		delete(r.of, id)
		sc.w.Close()
		if sc.log != nil {
			sc.log.Close()
		}
	}
	if in := r.stdin[id]; in != nil {
		in.Close()
		delete(r.stdin, id)
	}
}

func (r *screens) closeAll() {
	r.mu.Lock()
	ids := slices.Collect(maps.Keys(r.of))
	r.mu.Unlock()
	for _, id := range ids {
		r.close(id)
	}
}

func (o *screenOutput) ReadAt(s Stream, p []byte, off int64) (int, error) {
	n, err := o.Reader.ReadAt(spool.Stream(s), p, off)
	if errors.Is(err, spool.ErrLagged) {
		err = ErrLagged
	}
	return n, err
}
func (o *screenOutput) Written(s Stream) int64   { return o.Reader.Written(spool.Stream(s)) }
func (o *screenOutput) FirstKept(s Stream) int64 { return o.Reader.FirstKept(spool.Stream(s)) }
func (o *screenOutput) Committed() Commit {
	c := o.Reader.Committed()
	return Commit{Offset: c.Offset, Log: driver.Position{File: c.LogInode, Offset: c.LogSize}}
}

func (o *screenOutput) ReadTo([2]int64) {}

func (o *screenOutput) Wait(ctx context.Context) error {
	o.sc.mu.Lock()
	bell := o.sc.bell
	o.sc.mu.Unlock()
	if o.seen != bell { // something was printed since the last Wait
		o.seen = bell
		return ctx.Err()
	}
	select {
	case <-bell:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// standInExec is a process that the test plays.
type standInExec struct {
	id             string
	process        *specs.Process
	stdin          *os.File // its own descriptors, dup'd
	stdout, stderr *os.File
}

func dup(f *os.File) *os.File {
	if f == nil {
		return nil
	}
	fd, err := syscall.Dup(int(f.Fd()))
	must(err)
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "dup")
}

func (r *screens) Exec(_ context.Context, container, execID string, p *specs.Process, stdin, stdout, stderr *os.File) (Process, error) {
	r.standIn.mu.Lock()
	err := r.standIn.fail["Exec"]
	r.standIn.mu.Unlock()
	if err != nil {
		return Process{}, err
	}
	x := &standInExec{id: execID, process: p, stdin: dup(stdin), stdout: dup(stdout), stderr: dup(stderr)}
	r.mu.Lock()
	r.execs[container] = x
	r.mu.Unlock()
	return Process{Pid: 4711, StartTime: 1}, nil
}

// exec gives the process that runs in a container, once it is there.
func (r *screens) exec(container string) *standInExec {
	for {
		r.mu.Lock()
		x := r.execs[container]
		r.mu.Unlock()
		if x != nil {
			return x
		}
		runtime.Gosched()
	}
}

// exit ends an exec's process.
func (r *screens) execExit(container string, code int) {
	r.mu.Lock()
	x := r.execs[container]
	delete(r.execs, container)
	r.mu.Unlock()
	for _, f := range []*os.File{x.stdin, x.stdout, x.stderr} {
		if f != nil {
			f.Close()
		}
	}
	r.standIn.mu.Lock()
	defer r.standIn.mu.Unlock()
	r.standIn.unread = append(r.standIn.unread, Exit{Container: container, ExecID: x.id, Pid: 4711, StartTime: 1, ExitCode: code, At: time.Now()})
	r.standIn.cond.Broadcast()
}

// client is what a job's caller holds: it collects output and may stall or go.
type client struct {
	mu     sync.Mutex
	cond   *sync.Cond
	out    [2]bytes.Buffer
	stall  bool
	gone   bool
	opened chan struct{}
	stdin  *io.PipeWriter
	from   *io.PipeReader
	done   chan error
	cancel context.CancelFunc
}

func newClient() *client {
	cl := &client{opened: make(chan struct{}), done: make(chan error, 1)}
	cl.cond = sync.NewCond(&cl.mu)
	cl.from, cl.stdin = io.Pipe()
	return cl
}

func (cl *client) stream(i int) io.Writer { return clientStream{cl, i} }

type clientStream struct {
	*client
	i int
}

func (s clientStream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.stall && !s.gone {
		s.cond.Wait()
	}
	if s.gone {
		return 0, syscall.EPIPE
	}
	s.cond.Broadcast()
	return s.out[s.i].Write(p)
}

func (cl *client) set(f func()) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	f()
	cl.cond.Broadcast()
}

func (cl *client) stdout() string {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.out[0].String()
}

func (cl *client) stderr() string {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.out[1].String()
}

// awaitOut waits until stdout has ended with what is wanted.
func (cl *client) awaitOut(t *testing.T, suffix string) {
	t.Helper()
	deadline := time.AfterFunc(20*time.Second, func() { cl.set(func() { cl.gone = true }) })
	defer deadline.Stop()
	cl.mu.Lock()
	defer cl.mu.Unlock()
	for !strings.HasSuffix(cl.out[0].String(), suffix) {
		if cl.gone {
			t.Fatalf("stdout is %.200q, want its end to be %q", cl.out[0].String(), suffix)
		}
		cl.cond.Wait()
	}
}

// leave is a client whose connection breaks.
func (cl *client) leave() {
	cl.set(func() { cl.gone = true })
	cl.stdin.Close()
	cl.cancel()
}

// result waits for the job.
func (cl *client) result(t *testing.T) error {
	t.Helper()
	select {
	case err := <-cl.done:
		cl.from.CloseWithError(io.EOF) // as the server does
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the job has not ended")
		return nil
	}
}

func (cl *client) run(f func(ctx context.Context, opts ...engine.RunOption) error) *client {
	ctx, cancel := context.WithCancel(context.Background())
	cl.cancel = cancel
	go func() {
		defer cancel()
		cl.done <- f(ctx, engine.Stdin(cl.from), engine.Stdout(cl.stream(0)), engine.Stderr(cl.stream(1)))
	}()
	return cl
}

func (cl *client) awaitOpen(t *testing.T) {
	t.Helper()
	select {
	case <-cl.opened:
	case err := <-cl.done:
		cl.done <- err
		select {
		case <-cl.opened:
		default:
			t.Fatalf("refused: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("not opened")
	}
}

func (w *world) attachClient(in jobs.AttachIn) *client {
	cl := newClient()
	return cl.run(func(ctx context.Context, opts ...engine.RunOption) error {
		_, err := jobs.Attach.Run(ctx, w.eng, in, func(jobs.AttachOpen) (engine.Streams, error) {
			close(cl.opened)
			return engine.Streams{}, nil
		}, opts...)
		return err
	})
}

func (w *world) logsClient(in jobs.LogsIn) *client {
	cl := newClient()
	return cl.run(func(ctx context.Context, opts ...engine.RunOption) error {
		_, err := jobs.Logs.Run(ctx, w.eng, in, func(jobs.LogsOpen) (engine.Streams, error) {
			close(cl.opened)
			return engine.Streams{}, nil
		}, opts...)
		return err
	})
}

func (w *world) execClient(in jobs.ExecStartIn) *client {
	cl := newClient()
	return cl.run(func(ctx context.Context, opts ...engine.RunOption) error {
		_, err := jobs.ExecStart.Run(ctx, w.eng, in, func(jobs.ExecStartOpen) (engine.Streams, error) {
			close(cl.opened)
			return engine.Streams{}, nil
		}, opts...)
		return err
	})
}

// noLeak fails the test if goroutines or descriptors are left that it began with fewer of.
func noLeak(t *testing.T) {
	t.Helper()
	before, files := runtime.NumGoroutine(), openFiles(t)
	t.Cleanup(func() {
		for range 2000 {
			if runtime.NumGoroutine() <= before && openFiles(t) <= files {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		buf := make([]byte, 1<<20)
		t.Errorf("goroutines %d, were %d; files %d, were %d\n%s", runtime.NumGoroutine(), before, openFiles(t), files, buf[:runtime.Stack(buf, true)])
	})
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	assert.NilError(t, err)
	return len(entries)
}

// awaitExit waits until an exec's exit code is known.
func (r *screens) awaitExit(t *testing.T, w *world, id string, code int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for w.execState(t, id).ExitCode == nil {
		assert.Assert(t, time.Now().Before(deadline), "the exec has not ended")
		time.Sleep(time.Millisecond)
	}
	assert.Equal(t, *w.execState(t, id).ExitCode, code)
}
