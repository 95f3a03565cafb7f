package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/containers/runtime"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/usage"
	"github.com/jobengine/engine/jobs"
)

// world is a whole noun on stand-ins: a graph driver of plain folders, one
// image, and a runtime whose processes end when the test says so.
type world struct {
	*Containers
	eng     *engine.Engine
	root    string
	runtime *standIn
	screens *screens // in front of runtime; nil: without output
	graph   *folders
	images  *oneImage
	heard   *heard
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := closedWorld(t)
	w.open(t)
	return w
}

// closedWorld is one before open.
func closedWorld(t *testing.T) *world {
	t.Helper()
	root := t.TempDir()
	return &world{root: root, runtime: newStandIn(), graph: &folders{home: filepath.Join(root, "layers")}, images: newOneImage(), heard: &heard{}}
}

// open makes the noun as a daemon that starts does.
func (w *world) open(t *testing.T) {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	if testing.Verbose() {
		log.SetOutput(os.Stderr)
	}
	var r Runtime = w.runtime
	if w.screens != nil {
		r = w.screens
	}
	c, err := New(Config{
		Root: filepath.Join(w.root, "data"), ExecRoot: filepath.Join(w.root, "exec"),
		Graph: w.graph, GraphDriver: "folders", Images: w.images, Runtime: r, Events: w.heard, Log: log,
	})
	assert.NilError(t, err)
	assert.NilError(t, c.Restore(context.Background()))
	w.Containers = c
	w.eng = engine.New()
	c.Install(w.eng)
	t.Cleanup(func() {
		w.runtime.disconnect()
		c.Close()
	})
}

// reopen is a daemon that was killed and starts again; processes live on.
func (w *world) reopen(t *testing.T) {
	t.Helper()
	w.runtime.disconnect()
	w.Close()
	w.graph.forget()
	w.open(t)
}

func (w *world) mustCreate(t *testing.T, name string, change ...func(*jobs.CreateIn)) string {
	t.Helper()
	out, err := w.tryCreate(name, change...)
	assert.NilError(t, err)
	return out.ID
}

func (w *world) tryCreate(name string, change ...func(*jobs.CreateIn)) (jobs.CreateOut, error) {
	in := jobs.CreateIn{Name: name, Config: &container.Config{Image: "busybox", Cmd: []string{"sleep", "1"}}, HostConfig: &container.HostConfig{}}
	for _, f := range change {
		f(&in)
	}
	return jobs.Create.Run(context.Background(), w.eng, in)
}

func (w *world) mustStart(t *testing.T, name string) {
	t.Helper()
	_, err := jobs.Start.Run(context.Background(), w.eng, jobs.StartIn{Container: name})
	assert.NilError(t, err)
}

func (w *world) wait(name string, condition container.WaitCondition) (jobs.WaitOut, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return jobs.Wait.Run(ctx, w.eng, jobs.WaitIn{Container: name, Condition: condition}, nil)
}

func (w *world) snapshot(t *testing.T, name string) *Snapshot {
	t.Helper()
	ct, err := w.find(name)
	assert.NilError(t, err)
	return ct.Snapshot()
}

func autoRemove(in *jobs.CreateIn) { in.HostConfig.AutoRemove = true }

// heard remembers events.
type heard struct {
	mu   sync.Mutex
	list []string
	last map[string]string
}

func (h *heard) Log(typ events.Type, action events.Action, id string, attrs map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	line := string(action)
	for _, key := range []string{"signal", "exitCode", "oldName"} {
		if v, ok := attrs[key]; ok {
			line += " " + key + "=" + v
		}
	}
	h.list = append(h.list, line)
	h.last = maps.Clone(attrs)
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.list)
}

// oneImage knows busybox.
type oneImage struct {
	config    dockerspec.DockerOCIImage
	committed CommitSpec // the last one
	changes   []byte     // and its tar
}

func newOneImage() *oneImage {
	var cfg dockerspec.DockerOCIImage
	cfg.Config.Cmd = []string{"sh"}
	cfg.Config.Env = []string{"PATH=/bin"}
	return &oneImage{config: cfg}
}

const imageID = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

func (i *oneImage) Lookup(_ context.Context, ref, _ string) (Image, error) {
	if ref != "busybox" {
		return Image{}, errs.NotFound("No such image: %s:latest", ref)
	}
	return Image{ID: imageID, Config: i.config}, nil
}

func (i *oneImage) Parent(context.Context, string) (string, error) { return "init", nil }

// folders is a graph driver whose layers are plain folders.
type folders struct {
	graphdriver.Driver
	home string
	mu   sync.Mutex
	used map[string]int
	fail map[string]error // by method
	fill func(dir string) // what an image has
}

func (f *folders) failure(method string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fail[method]
}

func (f *folders) failWith(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil {
		f.fail = map[string]error{}
	}
	f.fail[method] = err
}

func (f *folders) CreateReadWrite(_ context.Context, id, parent string, opts map[string]string) error {
	if err := f.failure("CreateReadWrite"); err != nil {
		return err
	}
	if err := graphdriver.CheckOptions("folders", opts); err != nil {
		return err
	}
	dir := filepath.Join(f.home, id)
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
		return err
	}
	if f.fill != nil {
		f.fill(dir)
	}
	return os.WriteFile(filepath.Join(dir, "etc", "passwd"), []byte("root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:\n"), 0o644)
}

func (f *folders) Get(_ context.Context, id string) (string, error) {
	if err := f.failure("Get"); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.used == nil {
		f.used = map[string]int{}
	}
	f.used[id]++
	return filepath.Join(f.home, id), nil
}

func (f *folders) Put(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.used[id] <= 1 {
		delete(f.used, id)
	} else {
		f.used[id]--
	}
	return nil
}

func (f *folders) Remove(_ context.Context, id string) error {
	if err := f.failure("Remove"); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(f.home, id))
}

func (f *folders) Exists(_ context.Context, id string) bool {
	_, err := os.Stat(filepath.Join(f.home, id))
	return err == nil
}

func (f *folders) DiffSize(context.Context, string) (int64, error) { return 0, nil }

func (f *folders) Metadata(context.Context, string) (map[string]string, error) { return nil, nil }

// forget is a new process: its counts are gone.
func (f *folders) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used = map[string]int{}
}

// inUse counts mounted layers.
func (f *folders) inUse() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.used)
}

func (f *folders) layers(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(f.home)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// standIn is a runtime without processes.
type standIn struct {
	mu     sync.Mutex
	cond   *sync.Cond
	procs  map[string]*standInProc
	unread []Exit        // not yet acknowledged
	sent   int           // of unread, to the present listener
	life   int           // counts connections
	stuck  chan struct{} // Create hangs until it is closed
	lastPd int
	fail   map[string]error // by method
	ignore map[syscall.Signal]bool
	calls  []string
	limits *specs.LinuxResources // of the last Update
	ooms   chan runtime.OOM
	before func() // what happens before Start releases anything; may be nil
}

type standInProc struct {
	spec   RunSpec
	status string
	pid    int
	paused bool
	exit   *Exit
}

func newStandIn() *standIn {
	s := &standIn{procs: map[string]*standInProc{}, fail: map[string]error{}, ignore: map[syscall.Signal]bool{}, lastPd: 1000, ooms: make(chan runtime.OOM)}
	s.cond = sync.NewCond(&s.mu)
	return s
}

func (s *standIn) call(method, id string) error {
	s.calls = append(s.calls, method)
	return s.fail[method]
}

func (s *standIn) failWith(method string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail[method] = err
}

func (s *standIn) Create(_ context.Context, r RunSpec) (Process, error) {
	if s.stuck != nil {
		<-s.stuck
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call("Create", r.ID); err != nil {
		return Process{}, err
	}
	if s.procs[r.ID] != nil {
		return Process{}, errors.New("exists")
	}
	s.lastPd++
	s.procs[r.ID] = &standInProc{spec: r, status: "created", pid: s.lastPd}
	return Process{Pid: s.lastPd, StartTime: uint64(s.lastPd)}, nil
}

func (s *standIn) Start(_ context.Context, id string) error {
	if s.before != nil {
		s.before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call("Start", id); err != nil {
		return err
	}
	p := s.procs[id]
	if p == nil {
		return ErrAbsent
	}
	if p.status == "exited" {
		return ErrNotRunning
	}
	p.status = "running"
	if p.spec.BundleDir != "" && p.spec.Log.Driver == "exit-at-once" {
		s.end(id, 0)
	}
	return nil
}

// end lets the first process of a container end; s.mu is held.
func (s *standIn) end(id string, code int) {
	p := s.procs[id]
	if p == nil || p.status == "exited" {
		return
	}
	p.status = "exited"
	e := Exit{Container: id, Pid: p.pid, StartTime: uint64(p.pid), ExitCode: code, At: time.Now()}
	p.exit = &e
	text := fmt.Sprintf(`{"Container":%q,"Pid":%d,"StartTime":%d,"ExitCode":%d,"At":%s}`, id, p.pid, p.pid, code, strconv.Quote(e.At.Format(time.RFC3339Nano)))
	_ = os.WriteFile(p.spec.ExitFile, []byte(text), 0o600)
	s.unread = append(s.unread, e)
	s.cond.Broadcast()
}

// exit lets a container's program end by itself.
func (s *standIn) exit(id string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(id, code)
}

func (s *standIn) Signal(_ context.Context, id string, sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call("Signal", id); err != nil {
		return err
	}
	p := s.procs[id]
	if p == nil {
		return ErrAbsent
	}
	if p.status == "exited" {
		return ErrNotRunning
	}
	if !s.ignore[sig] && !p.paused && (sig == syscall.SIGKILL || sig == syscall.SIGTERM || sig == syscall.SIGINT) {
		s.end(id, 128+int(sig))
	} else if p.paused && sig == syscall.SIGKILL {
		p.status, p.paused = "running", true
		p.exit = &Exit{ExitCode: 137}
	}
	return nil
}

func (s *standIn) Pause(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call("Pause", id); err != nil {
		return err
	}
	s.procs[id].paused = true
	return nil
}

func (s *standIn) Expect() {}

func (s *standIn) Resume(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call("Resume", id); err != nil {
		return err
	}
	p := s.procs[id]
	if p == nil {
		return ErrAbsent
	}
	p.paused = false
	if p.exit != nil && p.status != "exited" { // was killed while frozen
		s.end(id, p.exit.ExitCode)
	}
	return nil
}

func (s *standIn) Update(_ context.Context, id string, limits *specs.LinuxResources) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = limits
	return s.call("Update", id)
}

func (s *standIn) Stats(_ context.Context, id string) (usage.Usage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return usage.Usage{Read: time.Now(), Pids: usage.Pids{Current: 3}}, s.call("Stats", id)
}

func (s *standIn) OOMs() iter.Seq[runtime.OOM] {
	// Of this daemon, even if nobody has begun to read them when it disconnects.
	s.mu.Lock()
	told := s.ooms
	s.mu.Unlock()
	return func(yield func(runtime.OOM) bool) {
		for o := range told {
			if !yield(o) {
				return
			}
		}
	}
}

func (s *standIn) Pids(_ context.Context, id string) ([]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.procs[id]; p != nil {
		return []int{p.pid}, nil
	}
	return nil, ErrAbsent
}

func (s *standIn) Delete(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call("Delete", id); err != nil {
		return err
	}
	if p := s.procs[id]; p != nil {
		if p.status == "running" {
			s.end(id, 137)
		}
		delete(s.procs, id)
		_ = os.RemoveAll(filepath.Dir(p.spec.BundleDir))
	}
	return nil
}

func (s *standIn) List(context.Context) ([]RuntimeState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []RuntimeState
	for id, p := range s.procs {
		list = append(list, RuntimeState{ID: id, Status: p.status, Pid: p.pid, StartTime: uint64(p.pid), Run: p.spec.Run, Exit: p.exit})
	}
	return list, nil
}

func (s *standIn) Exits() iter.Seq[Exit] {
	s.mu.Lock()
	life := s.life
	s.mu.Unlock()
	return func(yield func(Exit) bool) {
		for {
			s.mu.Lock()
			for s.sent >= len(s.unread) && s.life == life {
				s.cond.Wait()
			}
			if s.life != life {
				s.mu.Unlock()
				return
			}
			e := s.unread[s.sent]
			s.sent++
			s.mu.Unlock()
			if !yield(e) {
				return
			}
		}
	}
}

func (s *standIn) Ack(e Exit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, u := range s.unread {
		if u.Container == e.Container && u.Pid == e.Pid && u.ExecID == e.ExecID {
			s.unread = slices.Delete(s.unread, i, i+1)
			if i < s.sent {
				s.sent--
			}
			return
		}
	}
}

func (s *standIn) disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life++
	s.sent = 0
	close(s.ooms)
	s.ooms = make(chan runtime.OOM)
	s.cond.Broadcast()
}

// powerCut ends everything without anybody being told.
func (s *standIn) powerCut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.procs)
	s.unread = nil
}

func (s *standIn) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.procs)
}

func (s *standIn) Output(context.Context, string) (Output, error) { return nil, ErrUnsupported }
func (s *standIn) OpenStdin(string) (io.WriteCloser, error)       { return nil, ErrUnsupported }
func (s *standIn) CloseStdin(context.Context, string) error       { return nil }
func (s *standIn) TTY(context.Context, string) (*os.File, error)  { return nil, ErrUnsupported }
func (s *standIn) KeepExec(string, string, ExecStreams)           {}

func (s *standIn) TakeExec(context.Context, string, string) (Process, ExecStreams, error) {
	return Process{}, ExecStreams{}, ErrAbsent
}

func (s *standIn) ExecSignal(context.Context, string, string, syscall.Signal) error {
	return ErrUnsupported
}
func (s *standIn) Exec(context.Context, string, string, *specs.Process, *os.File, *os.File, *os.File) (Process, error) {
	return Process{}, ErrUnsupported
}

// Commit keeps what it was asked for.
func (i *oneImage) Commit(_ context.Context, c CommitSpec, changes io.Reader) (string, string, error) {
	data, err := io.ReadAll(changes)
	i.committed, i.changes = c, data
	return "sha256:new", c.Repository, err
}
