package fake

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/pidfd"
)

// Driver is the fake exec driver. Make it with New.
type Driver struct{ stateDir string }

// New opens the driver. It knows no options.
func New(o execdriver.Options) (execdriver.Driver, error) {
	for name := range o.Options {
		return nil, fmt.Errorf("fake: unknown option %q", name)
	}
	return &Driver{o.StateDir}, os.MkdirAll(o.StateDir, 0o700)
}

// release waits at the FIFO that is its $0 and becomes the program that follows.
const release = `read -r go < "$0" && exec "$@"`

// Create implements execdriver.Driver.
func (d *Driver) Create(_ context.Context, id string, b execdriver.Bundle, stdio execdriver.Stdio) (_ execdriver.Process, err error) {
	var none execdriver.Process
	if b.Spec == nil || b.Spec.Process == nil {
		return none, errors.New("the spec has no process to run")
	}
	program, err := find(b.Spec.Process)
	if err != nil {
		return none, err
	}
	dir := d.dir(id)
	if err := os.Mkdir(dir, 0o700); errors.Is(err, os.ErrExist) {
		return none, execdriver.ErrExists
	} else if err != nil {
		return none, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	// No name twice: the shell of a Create that was killed may still be on its way to its own.
	fifo := filepath.Join(dir, "start-"+rand.Text())
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		return none, err
	}
	argv := append([]string{"sh", "-c", release, fifo, program}, b.Spec.Process.Args[1:]...)
	p, err := d.run(id, "/bin/sh", argv, b.Spec.Process, stdio)
	if err != nil {
		return none, err
	}
	r := record{Process: pidfd.Process{Pid: p.Pid}, FIFO: fifo}
	if r.StartTime, err = pidfd.StartTime(p.Pid); err == nil {
		var text []byte
		if text, err = json.Marshal(r); err == nil {
			err = os.WriteFile(filepath.Join(dir, "state.json"), text, 0o600)
		}
	}
	if err != nil {
		discard(p)
		return none, err
	}
	return p, nil
}

// Start implements execdriver.Driver.
func (d *Driver) Start(_ context.Context, id string) error {
	r, err := d.record(id)
	if err != nil {
		return err
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if !r.Alive() {
			return execdriver.ErrNotRunning
		}
		// The shell needs a moment to open its end.
		fd, err := unix.Open(r.FIFO, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		switch {
		case err == nil:
			_, err = unix.Write(fd, []byte("go\n"))
			unix.Close(fd)
			return errors.Join(err, os.Remove(r.FIFO))
		case err == unix.ENOENT:
			return nil // it was started before
		case err != unix.ENXIO:
			return &os.PathError{Op: "open", Path: r.FIFO, Err: err}
		case !r.waits(): // it was started by one who was killed over it
			return os.Remove(r.FIFO)
		}
	}
	return errors.New("the waiting process does not answer")
}

// patience is how long a shell may take to start on a busy machine.
const patience = 30 * time.Second

// Exec implements execdriver.Driver.
func (d *Driver) Exec(_ context.Context, id string, p *specs.Process, stdio execdriver.Stdio) (execdriver.Process, error) {
	r, err := d.record(id)
	if err != nil {
		return execdriver.Process{}, err
	}
	if !r.Alive() {
		return execdriver.Process{}, execdriver.ErrNotRunning
	}
	program, err := find(p)
	if err != nil {
		return execdriver.Process{}, err
	}
	return d.run(id, program, p.Args, p, stdio)
}

// Signal implements execdriver.Driver.
func (d *Driver) Signal(_ context.Context, id string, sig syscall.Signal) error {
	r, err := d.record(id)
	if err != nil {
		return err
	}
	if !r.Alive() {
		return execdriver.ErrNotRunning
	}
	f, err := pidfd.Open(r.Process)
	if err != nil {
		return execdriver.ErrNotRunning
	}
	defer f.Close()
	if err := pidfd.Signal(f, sig); errors.Is(err, os.ErrProcessDone) {
		return execdriver.ErrNotRunning
	} else if err != nil {
		return err
	}
	return nil
}

// KillAll implements execdriver.Killer.
func (d *Driver) KillAll(_ context.Context, id string) error {
	if _, err := d.record(id); err != nil {
		return err
	}
	return d.killAll(id)
}

// Delete implements execdriver.Driver.
func (d *Driver) Delete(_ context.Context, id string) error {
	if err := d.killAll(id); err != nil {
		return err
	}
	return os.RemoveAll(d.dir(id))
}

// List implements execdriver.Driver.
func (d *Driver) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(d.stateDir)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids, nil
}

// Pids implements execdriver.Pidser.
func (d *Driver) Pids(_ context.Context, id string) ([]int, error) {
	if _, err := d.record(id); err != nil {
		return nil, err
	}
	return d.members(id)
}

// Pause implements execdriver.Pauser, by SIGSTOP.
func (d *Driver) Pause(_ context.Context, id string) error { return d.signalAll(id, unix.SIGSTOP) }

// Resume implements execdriver.Pauser.
func (d *Driver) Resume(_ context.Context, id string) error { return d.signalAll(id, unix.SIGCONT) }

func (d *Driver) dir(id string) string { return filepath.Join(d.stateDir, id) }

// record is what is remembered of a container.
type record struct {
	pidfd.Process
	FIFO string // at which the first process waits until Start
}

// waits says whether the first process still is the shell that waits.
func (r record) waits() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", r.Pid))
	if err != nil || len(text) == 0 { // it ends, as Alive will see
		return true
	}
	args := bytes.Split(text, []byte{0})
	return len(args) > 3 && string(args[2]) == release && string(args[3]) == r.FIFO
}

func (d *Driver) record(id string) (record, error) {
	var r record
	text, err := os.ReadFile(filepath.Join(d.dir(id), "state.json"))
	if errors.Is(err, os.ErrNotExist) {
		return r, execdriver.ErrNotFound
	} else if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}
