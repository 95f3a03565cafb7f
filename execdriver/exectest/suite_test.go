package exectest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/fake"
)

// recorder takes the place of a test that is expected to fail.
type recorder struct {
	testing.TB
	mu      sync.Mutex
	failure string
	skipped bool
}

func (r *recorder) fail(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == "" {
		r.failure = text
	}
}
func (r *recorder) Error(args ...any)            { r.fail(fmt.Sprint(args...)) }
func (r *recorder) Errorf(f string, args ...any) { r.fail(fmt.Sprintf(f, args...)) }
func (r *recorder) Fatal(args ...any)            { r.fail(fmt.Sprint(args...)); runtime.Goexit() }
func (r *recorder) Fatalf(f string, args ...any) { r.fail(fmt.Sprintf(f, args...)); runtime.Goexit() }
func (r *recorder) Skip(...any)                  { r.skipped = true; runtime.Goexit() }

// tryRow runs one row and says how it failed; empty if it passed.
func tryRow(t *testing.T, name string, open Open) string {
	t.Helper()
	for _, r := range rows() {
		if r.name != name {
			continue
		}
		rec := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			b := newBench(rec, open)
			b.patience = time.Second
			r.run(b)
		}()
		<-done
		if rec.skipped {
			t.Fatalf("row %s was skipped", name)
		}
		return rec.failure
	}
	t.Fatalf("there is no row %s", name)
	return ""
}

// broken is a fake driver that breaks one promise.
type broken struct {
	*fake.Driver
	create func(*broken, string, execdriver.Bundle, execdriver.Stdio) (execdriver.Process, error)
	start  func(*broken, string) error
	exec   func(*broken, string, *specs.Process, execdriver.Stdio) (execdriver.Process, error)
	signal func(*broken, string, syscall.Signal) error
	delete func(*broken, string) error
	list   func(*broken) ([]string, error)
	pause  func(*broken, string) error
	pids   func(*broken, string) ([]int, error)
	kill   func(*broken, string) error
	update func(*broken, string, *specs.LinuxResources) error
	stats  func(*broken, string) (execdriver.Stats, error)
	oom    bool
	dir    string
	mine   map[string]bool
}

func (d *broken) Create(ctx context.Context, id string, b execdriver.Bundle, s execdriver.Stdio) (execdriver.Process, error) {
	if d.create != nil {
		return d.create(d, id, b, s)
	}
	return d.Driver.Create(ctx, id, b, s)
}

func (d *broken) Start(ctx context.Context, id string) error {
	if d.start != nil {
		return d.start(d, id)
	}
	return d.Driver.Start(ctx, id)
}

func (d *broken) Exec(ctx context.Context, id string, p *specs.Process, s execdriver.Stdio) (execdriver.Process, error) {
	if d.exec != nil {
		return d.exec(d, id, p, s)
	}
	return d.Driver.Exec(ctx, id, p, s)
}

func (d *broken) Signal(ctx context.Context, id string, sig syscall.Signal) error {
	if d.signal != nil {
		return d.signal(d, id, sig)
	}
	return d.Driver.Signal(ctx, id, sig)
}

func (d *broken) Delete(ctx context.Context, id string) error {
	if d.delete != nil {
		return d.delete(d, id)
	}
	return d.Driver.Delete(ctx, id)
}

func (d *broken) List(ctx context.Context) ([]string, error) {
	if d.list != nil {
		return d.list(d)
	}
	return d.Driver.List(ctx)
}

func (d *broken) Pause(ctx context.Context, id string) error {
	if d.pause != nil {
		return d.pause(d, id)
	}
	return d.Driver.Pause(ctx, id)
}

func (d *broken) Pids(ctx context.Context, id string) ([]int, error) {
	if d.pids != nil {
		return d.pids(d, id)
	}
	return d.Driver.Pids(ctx, id)
}

func (d *broken) KillAll(ctx context.Context, id string) error {
	if d.kill != nil {
		return d.kill(d, id)
	}
	return d.Driver.KillAll(ctx, id)
}

func (d *broken) Update(ctx context.Context, id string, l *specs.LinuxResources) error {
	if d.update != nil {
		return d.update(d, id, l)
	}
	return d.Driver.Update(ctx, id, l)
}

func (d *broken) Stats(ctx context.Context, id string) (execdriver.Stats, error) {
	if d.stats != nil {
		return d.stats(d, id)
	}
	return d.Driver.Stats(ctx, id)
}

func (d *broken) OOMKilled(context.Context, string) (bool, error) { return d.oom, nil }

// TestSuiteFindsBrokenDrivers tries each row on a driver that breaks its promise.
func TestSuiteFindsBrokenDrivers(t *testing.T) {
	opaque := func(err error) error {
		if err == nil {
			return nil
		}
		return errors.New(err.Error())
	}
	cases := []struct {
		row   string
		fault string
		how   broken
	}{
		{"UpdateChanges", "changes nothing", broken{update: func(d *broken, id string, _ *specs.LinuxResources) error {
			return d.Driver.Update(ctx(), id, &specs.LinuxResources{})
		}}},
		{"UpdateChanges", "changes what it was not told", broken{update: func(d *broken, id string, l *specs.LinuxResources) error {
			if l.Pids == nil {
				l = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: new(int64)}}
			}
			return d.Driver.Update(ctx(), id, l)
		}}},
		{"StatsTell", "tells nothing", broken{stats: func(*broken, string) (execdriver.Stats, error) { return execdriver.Stats{}, nil }}},
		{"CreateWaits", "starts at once", broken{create: func(d *broken, id string, b execdriver.Bundle, s execdriver.Stdio) (execdriver.Process, error) {
			p, err := d.Driver.Create(ctx(), id, b, s)
			if err == nil {
				err = d.Driver.Start(ctx(), id)
			}
			return p, err
		}}},
		{"StartRuns", "loses the arguments", broken{create: func(d *broken, id string, b execdriver.Bundle, s execdriver.Stdio) (execdriver.Process, error) {
			p := *b.Spec.Process
			p.Args = p.Args[:3]
			return d.Driver.Create(ctx(), id, execdriver.Bundle{Dir: b.Dir, Spec: &specs.Spec{Process: &p}}, s)
		}}},
		{"StartRuns", "never starts", broken{start: func(*broken, string) error { return nil }}},
		{"StartTwice", "fails the second time", broken{mine: map[string]bool{}, start: func(d *broken, id string) error {
			if d.mine[id] {
				return errors.New("no fifo")
			}
			d.mine[id] = true
			return d.Driver.Start(ctx(), id)
		}}},
		{"Stdio", "swaps stdout and stderr", broken{create: func(d *broken, id string, b execdriver.Bundle, s execdriver.Stdio) (execdriver.Process, error) {
			s.Stdout, s.Stderr = s.Stderr, s.Stdout
			return d.Driver.Create(ctx(), id, b, s)
		}}},
		{"PidFDPolls", "gives a blocking pidfd", broken{create: func(d *broken, id string, b execdriver.Bundle, s execdriver.Stdio) (execdriver.Process, error) {
			p, err := d.Driver.Create(ctx(), id, b, s)
			if err == nil {
				p.PidFD.Close()
				fd, perr := unix.PidfdOpen(p.Pid, 0)
				p.PidFD, err = os.NewFile(uintptr(fd), "pidfd"), perr
			}
			return p, err
		}}},
		{"CreateTwice", "replaces the first", broken{create: func(d *broken, id string, b execdriver.Bundle, s execdriver.Stdio) (execdriver.Process, error) {
			_ = d.Driver.Delete(ctx(), id)
			return d.Driver.Create(ctx(), id, b, s)
		}}},
		{"CreateNoProgram", "has no error class", broken{create: func(d *broken, id string, b execdriver.Bundle, s execdriver.Stdio) (execdriver.Process, error) {
			p, err := d.Driver.Create(ctx(), id, b, s)
			return p, opaque(err)
		}}},
		{"CreateNotExecutable", "leaves its folder behind", broken{create: func(d *broken, id string, b execdriver.Bundle, s execdriver.Stdio) (execdriver.Process, error) {
			p, err := d.Driver.Create(ctx(), id, b, s)
			if err != nil {
				_ = os.Mkdir(filepath.Join(d.dir, id), 0o700)
			}
			return p, err
		}}},
		{"Exec", "keeps stdin to itself", broken{exec: func(d *broken, id string, p *specs.Process, s execdriver.Stdio) (execdriver.Process, error) {
			s.Stdin = nil
			return d.Driver.Exec(ctx(), id, p, s)
		}}},
		{"ExecTerminal", "forgets the size", broken{exec: func(d *broken, id string, p *specs.Process, s execdriver.Stdio) (execdriver.Process, error) {
			q := *p
			q.ConsoleSize = nil
			return d.Driver.Exec(ctx(), id, &q, s)
		}}},
		{"ExecNoProgram", "has no error class", broken{exec: func(d *broken, id string, p *specs.Process, s execdriver.Stdio) (execdriver.Process, error) {
			x, err := d.Driver.Exec(ctx(), id, p, s)
			return x, opaque(err)
		}}},
		{"ExecEnded", "has no error class", broken{exec: func(d *broken, id string, p *specs.Process, s execdriver.Stdio) (execdriver.Process, error) {
			x, err := d.Driver.Exec(ctx(), id, p, s)
			return x, opaque(err)
		}}},
		{"SignalReaches", "is deaf", broken{signal: func(*broken, string, syscall.Signal) error { return nil }}},
		{"SignalEnded", "is content with anything", broken{signal: func(*broken, string, syscall.Signal) error { return nil }}},
		{"DeleteKills", "forgets without killing", broken{delete: func(d *broken, id string) error { return os.RemoveAll(filepath.Join(d.dir, id)) }}},
		{"DeleteAbsent", "wants it to be there", broken{delete: func(d *broken, id string) error {
			if _, err := os.Stat(filepath.Join(d.dir, id)); err != nil {
				return err
			}
			return d.Driver.Delete(ctx(), id)
		}}},
		{"DeleteThenCreate", "keeps the id", broken{delete: func(d *broken, id string) error { return d.Driver.KillAll(ctx(), id) }}},
		{"ListNames", "knows nothing", broken{list: func(*broken) ([]string, error) { return nil, nil }}},
		{"OtherProcessGoesOn", "knows only its own", broken{mine: map[string]bool{},
			create: func(d *broken, id string, b execdriver.Bundle, s execdriver.Stdio) (execdriver.Process, error) {
				d.mine[id] = true
				return d.Driver.Create(ctx(), id, b, s)
			},
			start: func(d *broken, id string) error {
				if !d.mine[id] {
					return execdriver.ErrNotFound
				}
				return d.Driver.Start(ctx(), id)
			}}},
		{"PauseStops", "does not pause", broken{pause: func(*broken, string) error { return nil }}},
		{"PidsLists", "knows the first only", broken{pids: func(d *broken, id string) ([]int, error) {
			pids, err := d.Driver.Pids(ctx(), id)
			return pids[:1], err
		}}},
		{"KillAll", "kills nobody", broken{kill: func(*broken, string) error { return nil }}},
		{"NoOOM", "cries wolf", broken{oom: true}},
	}
	for _, c := range cases {
		t.Run(c.row+"/"+c.fault, func(t *testing.T) {
			open := func(t testing.TB, stateDir string) execdriver.Driver {
				d, err := fake.New(execdriver.Options{StateDir: stateDir})
				must(t, err)
				t.Cleanup(func() { _ = d.Delete(ctx(), "c") }) // what the broken one leaves
				b := c.how
				b.Driver, b.dir = d.(*fake.Driver), stateDir
				if b.mine != nil {
					b.mine = map[string]bool{}
				}
				return &b
			}
			if failure := tryRow(t, c.row, open); failure == "" {
				t.Fatal("the row passes")
			} else {
				t.Log(failure)
			}
		})
	}
}

// TestSuitePassesAWholeDriver is the other half: the wrapper itself breaks nothing.
func TestSuitePassesAWholeDriver(t *testing.T) {
	Run(t, func(t testing.TB, stateDir string) execdriver.Driver {
		d, err := fake.New(execdriver.Options{StateDir: stateDir})
		must(t, err)
		return &broken{Driver: d.(*fake.Driver)}
	})
}
