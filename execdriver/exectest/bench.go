package exectest

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/console"
	"github.com/jobengine/engine/internal/pidfd"
)

// bench is what one row works with.
type bench struct {
	t      testing.TB
	open   Open
	dir    string
	driver execdriver.Driver
	rootfs string
	began  time.Time
	// patience is how long to wait for what must happen; only where a driver is
	// broken a row ever waits that long.
	patience time.Duration
}

// overdue says that a row has taken longer than anything in it may.
func (b *bench) overdue() bool { return time.Since(b.began) > b.patience }

func newBench(t testing.TB, open Open) *bench {
	t.Helper()
	b := &bench{t: t, open: open, dir: t.TempDir(), rootfs: RootFS(t), began: time.Now(), patience: 10 * time.Second}
	must(t, os.Mkdir(b.stateDir(), 0o700))
	b.driver = open(t, b.stateDir())
	return b
}

func (b *bench) stateDir() string { return filepath.Join(b.dir, "state") }

func (b *bench) spec(args ...string) *specs.Spec { return Spec(b.rootfs, args...) }

// process is a process under test, and the other ends of its stdio.
type process struct {
	b      *bench
	id     string
	p      execdriver.Process
	named  pidfd.Process
	stdin  *os.File
	stdout *os.File
	stderr *os.File
	tty    *os.File
}

// pipes are the two sides of a process's stdio.
func (b *bench) pipes() (child execdriver.Stdio, ours *process) {
	b.t.Helper()
	ours = &process{b: b}
	var err error
	pair := func() (r, w *os.File) {
		r, w, err = os.Pipe()
		must(b.t, err)
		return r, w
	}
	child.Stdin, ours.stdin = pair()
	ours.stdout, child.Stdout = pair()
	ours.stderr, child.Stderr = pair()
	b.t.Cleanup(func() { closeAll([]*os.File{ours.stdin, ours.stdout, ours.stderr, ours.tty}) })
	return child, ours
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

func closeChild(s execdriver.Stdio) {
	closeAll([]*os.File{s.Stdin, s.Stdout, s.Stderr, s.ConsoleSocket})
}

// tryCreate calls Create with pipes or a console, and cleans up at the test's end.
func (b *bench) tryCreate(id string, spec *specs.Spec) (*process, error) {
	b.t.Helper()
	bundle := WriteBundle(b.t, filepath.Join(b.dir, "bundles", id), spec)
	return b.begin(spec.Process, id, func(s execdriver.Stdio) (execdriver.Process, error) {
		b.t.Cleanup(func() { _ = b.driver.Delete(ctx(), id) })
		return b.driver.Create(ctx(), id, bundle, s)
	})
}

func (b *bench) tryExec(id string, p *specs.Process) (*process, error) {
	b.t.Helper()
	return b.begin(p, id, func(s execdriver.Stdio) (execdriver.Process, error) {
		return b.driver.Exec(ctx(), id, p, s)
	})
}

func (b *bench) begin(p *specs.Process, id string, f func(execdriver.Stdio) (execdriver.Process, error)) (*process, error) {
	b.t.Helper()
	child, ours := b.pipes()
	var sock *os.File
	if p != nil && p.Terminal {
		closeChild(child)
		child = execdriver.Stdio{}
		var err error
		sock, child.ConsoleSocket, err = console.Pair()
		must(b.t, err)
		defer sock.Close()
	}
	defer func() { closeChild(child) }()
	started, err := f(child)
	if err != nil {
		return nil, err
	}
	ours.id, ours.p = id, started
	b.t.Cleanup(ours.discard)
	ours.named.Pid = started.Pid
	ours.named.StartTime, err = pidfd.StartTime(started.Pid)
	must(b.t, err)
	if sock != nil {
		ours.tty, err = console.Receive(sock)
		must(b.t, err)
	}
	return ours, nil
}

func (b *bench) create(id string, spec *specs.Spec) *process {
	b.t.Helper()
	p, err := b.tryCreate(id, spec)
	must(b.t, err)
	return p
}

// run creates and starts a container.
func (b *bench) run(id string, spec *specs.Spec) *process {
	b.t.Helper()
	p := b.create(id, spec)
	must(b.t, b.driver.Start(ctx(), id))
	return p
}

func (b *bench) exec(id string, p *specs.Process) *process {
	b.t.Helper()
	x, err := b.tryExec(id, p)
	must(b.t, err)
	return x
}

// further is the process of an exec, like the spec's first one.
func (b *bench) further(args ...string) *specs.Process {
	return b.spec(args...).Process
}

// discard ends what a row has left running. It comes before the container's
// Delete, as the zombie of an exec would hold that up.
func (p *process) discard() {
	_ = pidfd.Signal(p.p.PidFD, unix.SIGKILL)
	_ = p.p.PidFD.SetReadDeadline(time.Now().Add(p.b.patience))
	_, _ = pidfd.Await(p.p.PidFD, p.named)
	pidfd.Reap(p.p.PidFD)
	p.p.PidFD.Close()
}

// waiting waits for p meanwhile. While nobody reaps an exec, its zombie keeps the
// first process of a pid namespace from ending.
func (p *process) waiting() <-chan int {
	code := make(chan int, 1)
	_ = p.p.PidFD.SetReadDeadline(time.Now().Add(p.b.patience))
	go func() {
		c, err := pidfd.Await(p.p.PidFD, p.named)
		if err == nil {
			pidfd.Reap(p.p.PidFD)
			code <- c
		}
		close(code)
	}()
	return code
}

// wait gives the exit code of p, reaps it, and fails the test if it does not end.
func (p *process) wait() int {
	p.b.t.Helper()
	_ = p.p.PidFD.SetReadDeadline(time.Now().Add(p.b.patience))
	code, err := pidfd.Await(p.p.PidFD, p.named)
	if err != nil {
		p.b.t.Fatalf("process %d did not end: %v", p.p.Pid, err)
	}
	pidfd.Reap(p.p.PidFD)
	return code
}

// expect fails the test unless p ends with the code.
func (p *process) expect(code int) {
	p.b.t.Helper()
	if got := p.wait(); got != code {
		p.b.t.Fatalf("exit code %d, want %d; stderr: %s", got, code, p.rest(p.stderr))
	}
}

// line reads the next line that p prints, or fails the test.
func (p *process) line() string {
	p.b.t.Helper()
	from := p.stdout
	if p.tty != nil {
		from = p.tty
	}
	_ = from.SetReadDeadline(time.Now().Add(p.b.patience))
	var text []byte
	for one := make([]byte, 1); ; {
		if _, err := from.Read(one); err != nil {
			p.b.t.Fatalf("after %q: %v", text, err)
		}
		if one[0] == '\n' {
			return strings.TrimSuffix(string(text), "\r")
		}
		text = append(text, one[0])
	}
}

// rest reads until the end of a stream.
func (p *process) rest(f *os.File) string {
	p.b.t.Helper()
	if f == nil {
		return ""
	}
	_ = f.SetReadDeadline(time.Now().Add(p.b.patience))
	text, err := io.ReadAll(f)
	if err != nil {
		p.b.t.Fatalf("after %q: %v", text, err)
	}
	return string(text)
}

// silent fails the test if there is anything to read.
func (p *process) silent() {
	p.b.t.Helper()
	_ = p.stdout.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	got := make([]byte, 100)
	if n, _ := p.stdout.Read(got); n > 0 {
		p.b.t.Fatalf("unexpected output %q", got[:n])
	}
}
