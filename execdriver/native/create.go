package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/specconv"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/cgroupnames"
	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/internal/phase"
	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/internal/rlimit"
)

// Create implements execdriver.Driver.
func (d *Driver) Create(_ context.Context, id string, b execdriver.Bundle, stdio execdriver.Stdio) (execdriver.Process, error) {
	var none execdriver.Process
	if b.Spec == nil || b.Spec.Process == nil || len(b.Spec.Process.Args) == 0 {
		return none, errors.New("the spec has no process to run")
	}
	spec := *b.Spec
	spec.Process = rlimit.WithinReach(spec.Process)
	defer d.prepared(&spec)()
	config, err := d.configure(id, b.Dir, &spec)
	if err != nil {
		return none, err
	}
	if _, err := os.Stat(d.dir(id)); err == nil {
		return none, execdriver.ErrExists
	}
	if err := d.beginHalf(id, config.Cgroups); err != nil {
		return none, err
	}
	phase.Mark("native", "spec converted")
	c, err := libcontainer.Create(d.stateDir, id, config)
	if err != nil {
		d.endHalf(id)
		return none, classify(err)
	}
	undo := func() {
		// Start's own undo has killed the process; an error here would hide the real one.
		_ = settle(c.Destroy)
		_ = os.RemoveAll(d.dir(id))
		d.endHalf(id)
	}
	p, err := process(spec.Process, stdio)
	if err != nil {
		undo()
		return none, err
	}
	p.Init = true
	phase.Mark("native", "libcontainer has created")
	if err := c.Start(p); err != nil {
		undo()
		return none, classify(err)
	}
	phase.Mark("native", "libcontainer has started")
	r, err := d.saveRecord(id, c)
	if err == nil {
		err = failpoint.Hit(failpoint.ExecCreate)
	}
	if err == nil {
		var fd *os.File
		if fd, err = openPidFD(r.Pid); err == nil {
			d.mu.Lock()
			d.created[id] = c
			d.mu.Unlock()
			d.endHalf(id)
			return execdriver.Process{Pid: r.Pid, PidFD: fd}, nil
		}
	}
	_ = p.Signal(unix.SIGKILL)
	_, _ = p.Wait()
	undo()
	return none, err
}

// Start implements execdriver.Driver.
func (d *Driver) Start(_ context.Context, id string) error {
	r, err := d.record(id)
	if err != nil {
		return err
	}
	// libcontainer's Exec would leave a thread waiting for ever if nobody is there to answer.
	if !r.Alive() {
		return execdriver.ErrNotRunning
	}
	d.mu.Lock()
	c := d.created[id]
	delete(d.created, id)
	d.mu.Unlock()
	if c == nil {
		if c, err = d.load(id); err != nil {
			return err
		}
		// Another process may have released it, and may have died before it
		// removed the FIFO. libcontainer's Exec would wait for ever then.
		if !d.waits(id, r.Pid) {
			_ = os.Remove(d.execFIFO(id))
			return nil
		}
	}
	if err := c.Exec(); err != nil {
		if endsNow(r.Process) {
			return execdriver.ErrNotRunning // somebody killed it while it waited
		}
		return classify(err)
	}
	return failpoint.Hit(failpoint.ExecStart)
}

// execFIFO is where a created container's first process waits to be released.
func (d *Driver) execFIFO(id string) string { return filepath.Join(d.dir(id), "exec.fifo") }

// waits says whether the first process is still libcontainer's init: that holds
// the FIFO open, and closes it just before it becomes the user's program.
func (d *Driver) waits(id string, pid int) bool {
	fifo, err := os.Stat(d.execFIFO(id))
	if err != nil {
		return false
	}
	fds := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(fds)
	for _, e := range entries {
		if f, err := os.Stat(filepath.Join(fds, e.Name())); err == nil && os.SameFile(f, fifo) {
			return true
		}
	}
	return false
}

// configure turns the spec into libcontainer's configuration.
func (d *Driver) configure(id, bundle string, spec *specs.Spec) (*configs.Config, error) {
	var filter *configs.Seccomp
	if l := spec.Linux; l != nil && l.Seccomp != nil {
		var err error
		if filter, err = d.profiles.convert(l.Seccomp); err != nil {
			return nil, fmt.Errorf("unusable spec: %w", err)
		}
		without, other := *spec, *l
		other.Seccomp = nil
		without.Linux = &other
		spec = &without
	}
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{
		CgroupName: id, Spec: spec,
		UseSystemdCgroup: spec.Linux != nil && cgroupnames.IsSystemd(spec.Linux.CgroupsPath),
	})
	if err != nil {
		return nil, fmt.Errorf("unusable spec: %w", err)
	}
	config.Seccomp = filter
	// specconv takes the working directory for the bundle, hooks are told by this label.
	for i, label := range config.Labels {
		if strings.HasPrefix(label, "bundle=") {
			config.Labels[i] = "bundle=" + bundle
		}
	}
	return config, nil
}

// process turns a spec's process into libcontainer's.
func process(p *specs.Process, stdio execdriver.Stdio) (*libcontainer.Process, error) {
	lp := &libcontainer.Process{
		Args:            p.Args,
		Env:             p.Env,
		UID:             int(p.User.UID),
		GID:             int(p.User.GID),
		Cwd:             p.Cwd,
		Label:           p.SelinuxLabel,
		AppArmorProfile: p.ApparmorProfile,
		NoNewPrivileges: &p.NoNewPrivileges,
		Scheduler:       p.Scheduler,
		IOPriority:      p.IOPriority,
		LogLevel:        "3", // warnings of the init stage go to our log
	}
	if phase.On() {
		lp.LogLevel = "5" // debug: each of its steps
	}
	for _, gid := range p.User.AdditionalGids {
		lp.AdditionalGroups = append(lp.AdditionalGroups, int(gid))
	}
	if size := p.ConsoleSize; size != nil {
		lp.ConsoleWidth, lp.ConsoleHeight = uint16(size.Width), uint16(size.Height)
	}
	// Without this an exec that names no capabilities would get the container's.
	lp.Capabilities = &configs.Capabilities{}
	if caps := p.Capabilities; caps != nil {
		*lp.Capabilities = configs.Capabilities{
			Bounding: caps.Bounding, Effective: caps.Effective, Inheritable: caps.Inheritable,
			Permitted: caps.Permitted, Ambient: caps.Ambient,
		}
	}
	for _, l := range p.Rlimits {
		which, ok := rlimit.Numbers()[l.Type]
		if !ok {
			return nil, fmt.Errorf("unknown rlimit %q", l.Type)
		}
		lp.Rlimits = append(lp.Rlimits, configs.Rlimit{Type: which, Hard: l.Hard, Soft: l.Soft})
	}
	affinity, err := configs.ConvertCPUAffinity(p.ExecCPUAffinity)
	if err != nil {
		return nil, err
	}
	lp.CPUAffinity = affinity
	if p.Terminal {
		lp.ConsoleSocket = stdio.ConsoleSocket
		return lp, nil
	}
	// A nil *os.File in an interface would not be nil.
	if stdio.Stdin != nil {
		lp.Stdin = stdio.Stdin
	}
	if stdio.Stdout != nil {
		lp.Stdout = stdio.Stdout
	}
	if stdio.Stderr != nil {
		lp.Stderr = stdio.Stderr
	}
	return lp, nil
}

func openPidFD(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// endsNow tells whether a process has ended, or ends: it closes its files, which libcontainer sees, a
// moment before.
func endsNow(p pidfd.Process) bool {
	for deadline := time.Now().Add(endPatience); p.Alive(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// endPatience bounds how long a process can take from there to its end.
const endPatience = time.Second
