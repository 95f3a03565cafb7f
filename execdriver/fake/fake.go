package fake

import (
	"context"
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
	if err := unix.Mkfifo(d.fifo(id), 0o600); err != nil {
		return none, err
	}
	argv := append([]string{"sh", "-c", release, d.fifo(id), program}, b.Spec.Process.Args[1:]...)
	p, err := d.run(id, "/bin/sh", argv, b.Spec.Process, stdio)
	if err != nil {
		return none, err
	}
	r := pidfd.Process{Pid: p.Pid}
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
	for range 5000 { // the shell needs a moment to open its end
		if !r.Alive() {
			return execdriver.ErrNotRunning
		}
		fd, err := unix.Open(d.fifo(id), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			return nil // it was started before
		}
		if err == nil {
			_, err = unix.Write(fd, []byte("go\n"))
			unix.Close(fd)
			return errors.Join(err, os.Remove(d.fifo(id)))
		}
		if err != unix.ENXIO {
			return &os.PathError{Op: "open", Path: d.fifo(id), Err: err}
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("the waiting process does not answer")
}

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
	f, err := pidfd.Open(r)
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

func (d *Driver) dir(id string) string  { return filepath.Join(d.stateDir, id) }
func (d *Driver) fifo(id string) string { return filepath.Join(d.dir(id), "start") }

func (d *Driver) record(id string) (pidfd.Process, error) {
	var r pidfd.Process
	text, err := os.ReadFile(filepath.Join(d.dir(id), "state.json"))
	if errors.Is(err, os.ErrNotExist) {
		return r, execdriver.ErrNotFound
	} else if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}
