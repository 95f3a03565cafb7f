package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/mount"

	"github.com/jobengine/engine/containers/logspec"
	"github.com/jobengine/engine/containers/request"
	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/containers/streams"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/cgroupnames"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/internal/phase"
	"github.com/jobengine/engine/jobs"
)

// start runs a container's program.
func (c *Containers) start(ctx context.Context, _ *engine.Job, in jobs.StartIn) (jobs.StartOut, error) {
	ct, err := c.find(in.Container)
	if err != nil {
		return jobs.StartOut{}, err
	}
	return jobs.StartOut{}, c.startNow(ctx, ct)
}

// startNow starts a container and takes everything back if that fails. A
// container with AutoRemove that can't be started is removed.
func (c *Containers) startNow(ctx context.Context, ct *Container) error {
	// A client that goes away must not leave a container half started.
	ctx = context.WithoutCancel(ctx)
	c.runtime.Expect()
	unlock, err := ct.lock(ctx)
	if err != nil {
		return err
	}
	ct.forgetPause()
	err = c.startLocked(ctx, ct, false)
	failed := err != nil && !errors.As(err, new(refusal))
	unlock()
	if failed && ct.Snapshot().HostConfig.AutoRemove {
		if e := c.remove(ctx, ct, removal{force: true}); e != nil && !ct.Snapshot().State.Removing {
			c.log.Errorf("container %s: it could not be started, and now not be removed: %v", ct.id, e)
		}
	}
	return err
}

// refusal is an error of start that leaves the container as it was.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// startLocked is start for whoever has the container's turn; again says that
// the policy wants it and not a user.
func (c *Containers) startLocked(ctx context.Context, ct *Container, again bool) (err error) {
	s := ct.Snapshot()
	switch {
	case s.State.Removed:
		return refusal{errs.NotFound("No such container: %s", ct.id)}
	case s.Damaged:
		return refusal{errs.Conflict("container %s is damaged and can only be removed: %s", s.Name, s.State.Error)}
	case s.State.Removing || s.State.Dead:
		return refusal{errMarked()}
	case s.State.Paused:
		return refusal{errs.Conflict("cannot start a paused container, try unpause instead")}
	case s.State.Running && !(again && s.State.Restarting):
		return refusal{errs.NotModified("container %s is already running", s.Name)}
	}
	phase.Mark("daemon", "start arrives")
	ct.setFreed(false)
	r := &run{c: c, ct: ct, s: s, again: again}
	defer func() {
		if err != nil {
			r.undo.ifFailed(&err)
			err = c.startFailed(ct, err)
		}
	}()
	for _, step := range []func(context.Context) error{
		r.allocate, r.mountRootfs, r.prepare, r.writeBundle, r.record, r.createProcess, r.connect, r.announce, r.release,
	} {
		if err := step(ctx); err != nil {
			return err
		}
		if err := failpoint.Hit(failpoint.StartStep); err != nil {
			return err
		}
	}
	c.event(ct.Snapshot(), events.ActionStart)
	c.tellLinked(ct.id)
	return nil
}

func errMarked() error {
	return errs.Conflict("container is marked for removal and cannot be started")
}

// startFailed writes down why a container could not be started, with docker's
// exit codes, and gives the error its class.
func (c *Containers) startFailed(ct *Container, err error) error {
	code := 128
	switch {
	case errors.Is(err, ErrNoProgram):
		code = 127
	case errors.Is(err, ErrNotExecutable):
		code = 126
	}
	if code != 128 {
		err = errs.Invalid("%w", err)
	}
	ct.update(func(s *Snapshot) {
		s.State.ExitCode, s.State.Error = code, err.Error()
		s.State.Running, s.State.Restarting, s.State.Pid, s.State.StartTime = false, false, 0, 0
	})
	if e := c.saveUnsynced(ct); e != nil {
		c.log.Errorf("container %s: record of the failed start: %v", ct.id, e)
	}
	return err
}

// run is one start on its way. Each step adds its undo.
type run struct {
	c    *Containers
	ct   *Container
	s    *Snapshot
	undo undos

	again     bool                // by policy
	etc       func() etcFilesDone // waits for it
	rootfs    string
	in        spec.Input
	donors    []*donor // whose namespaces are joined
	proc      *Proc
	startedAt time.Time
	saved     <-chan error // the record of the start is on its way to the disk
}

// mountRootfs mounts the layer; beside it the files of /etc are written.
func (r *run) mountRootfs(ctx context.Context) (err error) {
	r.in.IDs = r.c.idsFor(r.s)
	etc := make(chan etcFilesDone, 1)
	go func(ids graphdriver.IDMap) {
		binds, err := r.c.writeEtc(r.s, ids)
		etc <- etcFilesDone{binds, err}
	}(r.in.IDs)
	r.etc = func() etcFilesDone { done := <-etc; etc <- done; return done }
	r.undo.add(func() error { r.etc(); return nil }) // nobody writes any more when the start has failed
	if r.rootfs, err = r.c.getRootfs(ctx, r.s.ID, r.in.IDs); err != nil {
		return fmt.Errorf("mount the layer of %s: %w", r.s.Name, err)
	}
	phase.Mark("daemon", "layer mounted")
	r.undo.add(func() error { return r.c.putRootfs(ctx, r.s.ID) })
	return nil
}

// prepare finds out what the spec needs to know.
func (r *run) prepare(context.Context) (err error) {
	s, hc := r.s, r.s.HostConfig
	r.in = spec.Input{
		IDs: r.in.IDs, ID: s.ID, Rootfs: r.rootfs, Path: s.Path, Args: s.Args, Config: s.Config, HostConfig: hc,
		Hostname: s.Config.Hostname, HostNetwork: hc.NetworkMode.IsHost(), Host: r.c.host.spec(), Defaults: r.c.cfg.Defaults,
		Tmpfs: map[string]string{},
	}
	r.in.PidsBound = r.c.pidsBound(hc)
	if r.in.CgroupsPath, err = r.c.cgroup(s); err != nil {
		return err
	}
	if err := r.join(); err != nil {
		return err
	}
	if err := r.joinUser(); err != nil {
		return err
	}
	s = r.s
	r.in.Config = r.c.withLinks(s, s.Config)
	if err := r.shareShm(); err != nil {
		return err
	}
	if ensure := r.c.cfg.EnsureAppArmor; ensure != nil {
		if err := ensure(); err != nil {
			return fmt.Errorf("AppArmor is enabled and the default profile could not be loaded: %w", err)
		}
	}
	if r.c.wantsInit(hc) {
		if r.in.Init, err = r.c.initPath(); err != nil {
			return err
		}
	}
	if len(hc.DeviceRequests) > 0 {
		return errNoDeviceDriver(hc.DeviceRequests[0])
	}
	if r.in.User, err = spec.FindUser(r.rootfs, s.Config.User, hc.GroupAdd); err != nil {
		return errs.Invalid("%w", err)
	}
	if err := checkUser(r.in.IDs, r.in.User); err != nil {
		return err
	}
	if dir := s.Config.WorkingDir; dir != "" && !r.insideMount(dir) {
		// It belongs to the container's root, whoever that is.
		if err := r.in.IDs.AsRoot(func() error { return spec.MakeCwd(r.rootfs, dir) }); err != nil {
			return err
		}
	}
	etc := r.etc()
	phase.Mark("daemon", "etc written")
	if etc.err != nil {
		return etc.err
	}
	if err := r.binds(); err != nil {
		return err
	}
	r.in.Binds = append(r.in.Binds, etc.binds...)
	if hc.Privileged {
		r.in.Devices, err = spec.AllDevices()
	} else {
		r.in.Devices, err = spec.HostDevices(hc.Devices)
	}
	return err
}

// insideMount tells whether a path is in something that will be mounted: then
// the exec driver makes it, from inside.
func (r *run) insideMount(p string) bool {
	p = path.Clean(p)
	within := func(target string) bool { return p == target || strings.HasPrefix(p, path.Clean(target)+"/") }
	for _, m := range r.s.Mounts {
		if within(m.Destination) {
			return true
		}
	}
	for target := range r.s.HostConfig.Tmpfs {
		if within(target) {
			return true
		}
	}
	for _, target := range []string{"/proc", "/sys", "/dev"} {
		if within(target) {
			return true
		}
	}
	return false
}

// binds lists what is mounted from the host. A source of -v that is missing is
// made, as docker does; one of --mount must be there.
func (r *run) binds() error {
	for target, options := range r.s.HostConfig.Tmpfs {
		r.in.Tmpfs[path.Clean(target)] = options
	}
	wanted := map[string]mount.Mount{}
	for _, m := range r.s.HostConfig.Mounts {
		wanted[path.Clean(m.Target)] = m
	}
	for _, p := range r.s.Mounts {
		m, byMount := wanted[p.Destination]
		if p.Type == mount.TypeTmpfs {
			r.in.Tmpfs[p.Destination] = request.TmpfsOptions(m)
			continue
		}
		b := spec.Bind{Source: p.Source, Destination: p.Destination, ReadOnly: !p.RW, Propagation: string(p.Propagation)}
		// A folder of the container's own has its ids, one of the host's the host's.
		b.Mapped = p.Type == mount.TypeVolume
		if o := m.BindOptions; byMount && o != nil {
			b.NonRecursive = o.NonRecursive
		}
		if _, err := os.Stat(p.Source); os.IsNotExist(err) {
			if byMount && (m.BindOptions == nil || !m.BindOptions.CreateMountpoint) {
				return errs.Invalid("invalid mount config for type %q: bind source path does not exist: %s", p.Type, p.Source)
			}
			if err := r.in.IDs.AsRoot(func() error { return os.MkdirAll(p.Source, 0o755) }); err != nil {
				return fmt.Errorf("error while creating mount source path '%s': %w", p.Source, err)
			}
		} else if err != nil {
			return err
		}
		r.in.Binds = append(r.in.Binds, b)
	}
	return nil
}

func (r *run) writeBundle(context.Context) error {
	sp, err := spec.Make(r.in)
	if err != nil {
		return err
	}
	text, err := json.Marshal(sp)
	if err != nil {
		return err
	}
	phase.Mark("daemon", "spec made")
	dir := r.c.bundle(r.s.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	r.undo.add(func() error { return os.RemoveAll(filepath.Dir(dir)) })
	return os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600)
}

// record writes down that the container runs, while the next steps go on: if
// all dies now, a later life knows that there was a start, and nobody a pid.
func (r *run) record(context.Context) error {
	if err := os.Remove(r.c.exitPath(r.s.ID)); err != nil && !os.IsNotExist(err) {
		return err
	}
	r.ct.saving.Lock()
	next := *r.ct.Snapshot()
	r.begin(&next)
	saved := make(chan error, 1)
	go func() {
		defer r.ct.saving.Unlock()
		saved <- r.c.write(&next, !next.HostConfig.AutoRemove)
	}()
	r.saved = saved
	r.undo.add(func() error { <-saved; return nil }) // whatever is written later comes later
	return nil
}

// begin makes s one of a container that runs.
func (r *run) begin(s *Snapshot) {
	if r.startedAt.IsZero() {
		r.startedAt = time.Now().UTC()
	}
	s.Runs++
	s.Config, s.Stored = r.s.Config, r.s.Stored
	s.ManualStop = false
	if !r.again {
		s.RestartCount = 0
	}
	s.State = State{Running: true, StartedAt: r.startedAt, FinishedAt: s.State.FinishedAt, Exits: s.State.Exits}
	if r.proc != nil {
		s.State.Pid, s.State.StartTime = r.proc.Pid, r.proc.StartTime
	}
}

// createProcess makes the first process, which waits.
func (r *run) createProcess(ctx context.Context) error {
	logging, err := logspec.Of(r.s)
	if err != nil {
		return err
	}
	driver, known := r.c.rules.DriverOf(r.s.HostConfig.Runtime)
	if !known { // it was, when the container was created
		return errs.Invalid("Unknown runtime specified %s", r.s.HostConfig.Runtime)
	}
	phase.Mark("daemon", "supervisor asked")
	exitFile := r.c.exitPath(r.s.ID)
	if r.s.HostConfig.AutoRemove {
		exitFile = "" // a reboot removes the container, so the exec root is enough
	}
	p, err := r.c.runtime.Create(ctx, RunSpec{
		ID: r.s.ID, Driver: driver, BundleDir: r.c.bundle(r.s.ID), Run: r.s.Runs + 1,
		Tty: r.s.Config.Tty, OpenStdin: r.s.Config.OpenStdin, Log: logging,
		ExitFile: exitFile, Durable: exitFile != "",
	})
	if err != nil {
		if gone := r.donorsGone(); gone != nil {
			return gone
		}
		return runtimeError(err)
	}
	phase.Mark("daemon", "supervisor answered")
	r.undo.add(func() error { return r.c.runtime.Delete(ctx, r.s.ID) })
	if err := r.joined(); err != nil {
		return err
	}
	r.proc = &Proc{Pid: p.Pid, StartTime: p.StartTime, Rootfs: r.rootfs, TTY: p.TTY, PidFD: p.PidFD}
	if size := r.s.HostConfig.ConsoleSize; p.TTY != nil && size[0] > 0 && size[1] > 0 {
		_ = streams.SetWinsize(p.TTY, uint16(size[0]), uint16(size[1]))
	}
	return nil
}

// announce makes the run known, so that attached clients connect before the program runs.
func (r *run) announce(context.Context) error {
	before := *r.ct.Snapshot()
	_, err := r.ct.tryUpdate(func(s *Snapshot) error {
		if s.State.Removing {
			return errMarked() // meanwhile
		}
		r.begin(s)
		return nil
	})
	if err != nil {
		return err
	}
	r.undo.add(func() error {
		r.ct.endProc()
		r.ct.update(func(s *Snapshot) { s.State, s.Runs, s.RestartCount = before.State, before.Runs, before.RestartCount })
		return nil
	})
	r.ct.setProc(r.proc)
	return nil
}

// release lets the program run. The record of the start is on the disk when it
// returns.
func (r *run) release(ctx context.Context) error {
	phase.Mark("daemon", "clients attached")
	if err := r.c.runtime.Start(ctx, r.s.ID); err != nil {
		now := r.ct.Snapshot()
		killed := errors.Is(err, ErrNotRunning)
		switch {
		case killed && now.State.Removing:
			return errMarked()
		case killed && now.ManualStop:
			// A user stopped it before it became the program. It has been started, and its end will be told.
		default:
			return runtimeError(err)
		}
	}
	phase.Mark("daemon", "release answered")
	if err := <-r.saved; err != nil {
		// The program runs: that its start is not written down is no reason to kill it.
		r.c.log.Errorf("container %s: record of the start: %v", r.s.ID, err)
	}
	return nil
}

// runtimeError puts an error of the runtime in the words that clients look for.
func runtimeError(err error) error {
	return fmt.Errorf("failed to create shim task: OCI runtime create failed: runc create failed: %w: unknown", err)
}

func (c *Containers) exitPath(id string) string { return c.path(id, "exit.json") }

// cgroup names where the processes of a container are to be.
func (c *Containers) cgroup(s *Snapshot) (string, error) {
	parent := s.HostConfig.CgroupParent
	if parent == "" {
		parent = c.cfg.CgroupParent
	}
	// It was right for the daemon that created the container, which may have had another manager.
	if err := cgroupnames.CheckParent(c.cfg.CgroupDriver, parent); err != nil {
		return "", err
	}
	return cgroupnames.Path(c.cfg.CgroupDriver, parent, s.ID), nil
}
