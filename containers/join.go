package containers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/containers/shm"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/pidfd"
)

const joinPrefix = "container:"

// settleJoins puts ids in place of the names of containers that are joined, so
// that a renamed one stays the same. For pid and ipc they must be there.
func (c *Containers) settleJoins(hc *container.HostConfig) error {
	id := func(ref string) (string, error) {
		ct, err := c.find(ref)
		if err != nil {
			return "", err
		}
		return joinPrefix + ct.id, nil
	}
	if ref := hc.PidMode.Container(); hc.PidMode.IsContainer() {
		mode, err := id(ref)
		if err != nil {
			return errs.Invalid("%v", err) // not of the class not found: clients would pull the image
		}
		hc.PidMode = container.PidMode(mode)
	}
	if ref := hc.IpcMode.Container(); hc.IpcMode.IsContainer() {
		mode, err := id(ref)
		if err != nil {
			return errs.Invalid("%v", err) // not of the class not found: clients would pull the image
		}
		hc.IpcMode = container.IpcMode(mode)
	}
	if hc.NetworkMode.IsContainer() {
		if mode, err := id(hc.NetworkMode.ConnectedContainer()); err == nil { // else it is told at the start
			hc.NetworkMode = container.NetworkMode(mode)
		}
	}
	return nil
}

// joins are the containers that must run before a container does: it shares namespaces with them, or is linked to them.
func joins(hc *container.HostConfig) []string {
	var ids []string
	for _, mode := range []string{string(hc.PidMode), string(hc.IpcMode), string(hc.NetworkMode)} {
		if id, ok := strings.CutPrefix(mode, joinPrefix); ok {
			ids = append(ids, id)
		}
	}
	for _, l := range hc.Links { // they must run before it too
		id, _, _ := strings.Cut(l, ":")
		ids = append(ids, id)
	}
	return ids
}

// donor is a container whose namespace is joined, at the moment of the start.
type donor struct {
	ct   *Container
	s    *Snapshot
	gone func(id string) error // in the words that fit what is joined
}

// donor finds a container that runs.
func (r *run) donor(ref string, gone func(id string) error) (*donor, error) {
	ct, err := r.c.find(ref)
	if err != nil {
		return nil, err
	}
	d := &donor{ct: ct, s: ct.Snapshot(), gone: gone}
	if d.s.State.Restarting && d.s.State.Pid == 0 {
		return nil, errs.Conflict("Container %s is restarting, wait until the container is running", ct.id)
	}
	if !d.s.State.Running || d.s.State.Pid == 0 || !d.lives() {
		return nil, gone(ct.id)
	}
	r.donors = append(r.donors, d)
	return d, nil
}

func (d *donor) namespace(name string) string {
	return fmt.Sprintf("/proc/%d/ns/%s", d.s.State.Pid, name)
}

// lives tells whether the donor is the process that it was.
func (d *donor) lives() bool {
	return d.s.State.Pid > 0 && pidfd.Process{Pid: d.s.State.Pid, StartTime: d.s.State.StartTime}.Alive()
}

// join finds the namespaces of others that the container is to be in.
func (r *run) join() error {
	hc := r.s.HostConfig
	if hc.PidMode.IsContainer() {
		d, err := r.donor(hc.PidMode.Container(), notRunning)
		if errdefs.IsNotFound(err) {
			return errs.NotFound("cannot join PID of a non running container: %s: %w", hc.PidMode.Container(), err)
		}
		if err != nil {
			return err
		}
		r.in.Join.PID = d.namespace("pid")
	}
	if hc.IpcMode.IsContainer() {
		d, err := r.donor(hc.IpcMode.Container(), func(id string) error {
			return errs.Conflict("can't join IPC of container %s: container %s is not running", id, id)
		})
		if errdefs.IsNotFound(err) {
			return errs.NotFound("can't join IPC of container %s: %w", hc.IpcMode.Container(), err)
		}
		if err != nil {
			return err
		}
		r.in.Join.IPC = d.namespace("ipc")
		if r.in.Join.Shm, err = r.c.sharedShm(d.s); err != nil {
			return err
		}
	}
	if hc.NetworkMode.IsContainer() {
		d, err := r.donor(hc.NetworkMode.ConnectedContainer(), func(id string) error {
			return errs.Conflict("cannot join network of a non running container: %s", id)
		})
		if err != nil {
			return err
		}
		if d.ct == r.ct {
			return errs.Conflict("cannot join own network")
		}
		r.in.Join.Network = d.namespace("net")
		// The names belong to the network, and are written down as docker does.
		named := *r.s.Config
		named.Hostname, named.Domainname = d.s.Config.Hostname, d.s.Config.Domainname
		s := *r.s
		s.Config = &named
		if err := s.Store(); err != nil {
			return err
		}
		r.s, r.in.Config, r.in.Hostname = &s, &named, named.Hostname
	}
	return nil
}

func notRunning(id string) error { return errs.Conflict("container %s is not running", id) }

// joined makes sure that the namespaces were those of the containers that were
// meant: a number of a process that has ended may be another's by now.
func (r *run) joined() error {
	for _, d := range r.donors {
		if !d.lives() {
			return d.gone(d.ct.id)
		}
	}
	return nil
}

// donorsGone is joined for a start that has failed: a namespace cannot be
// entered any more a moment before the process that it belongs to is gone.
func (r *run) donorsGone() error {
	if len(r.donors) == 0 {
		return nil
	}
	for range 20 {
		if err := r.joined(); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// errNotShareable is what docker says of a container that keeps its memory for itself.
func errNotShareable(id string) error {
	return errs.Conflict("can't join IPC of container %s: non-shareable IPC (hint: use IpcMode:shareable for the donor container)", id)
}

// sharedShm is what a container that is joined has as /dev/shm, on the host.
func (c *Containers) sharedShm(s *Snapshot) (string, error) {
	switch mode := s.HostConfig.IpcMode; {
	case mode.IsShareable():
		return c.shmPath(s.ID), nil
	case mode.IsHost():
		return "/dev/shm", nil
	case mode.IsContainer():
		owner, err := c.find(mode.Container())
		if err != nil {
			return "", err
		}
		if o := owner.Snapshot(); o.ID != s.ID && o.State.Running {
			return c.sharedShm(o)
		}
	}
	return "", errNotShareable(s.ID)
}

// etcOwner is the container whose hosts, hostname and resolv.conf a container
// has: its own, or those of the one whose network it shares.
func (c *Containers) etcOwner(s *Snapshot) (*Snapshot, error) {
	for range 32 { // a chain that long is none
		if !s.HostConfig.NetworkMode.IsContainer() {
			return s, nil
		}
		ct, err := c.find(s.HostConfig.NetworkMode.ConnectedContainer())
		if err != nil {
			return nil, err
		}
		s = ct.Snapshot()
	}
	return nil, errors.New("the containers share their networks in a circle")
}

// byJoins sorts containers for whoever starts them: each list joins containers of those before it only.
func (c *Containers) byJoins(all []*Container) [][]*Container {
	var depth func(ct *Container, left int) int
	depth = func(ct *Container, left int) int {
		deepest := 0
		for _, id := range joins(ct.Snapshot().HostConfig) {
			if other, ok := c.index.get(id); ok && left > 0 {
				deepest = max(deepest, 1+depth(other, left-1))
			}
		}
		return deepest
	}
	var lists [][]*Container
	for _, ct := range all {
		d := depth(ct, 8)
		for len(lists) <= d {
			lists = append(lists, nil)
		}
		lists[d] = append(lists[d], ct)
	}
	return lists
}

// shmPath is where the memory of a container is that shares it.
func (c *Containers) shmPath(id string) string { return filepath.Join(c.cfg.ExecRoot, "shm", id) }

// shareShm makes the memory that others may join.
func (r *run) shareShm() error {
	if !r.s.HostConfig.IpcMode.IsShareable() {
		return nil
	}
	path := r.c.shmPath(r.s.ID)
	r.undo.add(func() error { return shm.Unmount(path) })
	r.in.Join.Shm = path
	uid, gid, err := r.in.IDs.Root()
	if err == nil {
		err = shm.Mount(path, r.s.HostConfig.ShmSize)
	}
	if err == nil && uid != 0 {
		err = os.Chown(path, uid, gid)
	}
	return err
}

// freeShm takes a container's shared memory away; those that joined keep it as long as they live.
func (c *Containers) freeShm(s *Snapshot) error {
	if s.HostConfig == nil || !s.HostConfig.IpcMode.IsShareable() {
		return nil
	}
	return shm.Unmount(c.shmPath(s.ID))
}

// patienceForDonors is how long a policy waits for what its container joins.
const patienceForDonors = time.Minute

// sweepShm takes away what a kill has left between the making of shared memory
// and its record, or between an end and the last word on it.
func (c *Containers) sweepShm() {
	entries, _ := os.ReadDir(filepath.Join(c.cfg.ExecRoot, "shm"))
	for _, e := range entries {
		if ct, ok := c.index.get(e.Name()); ok && ct.Snapshot().State.Running {
			continue
		}
		if err := shm.Unmount(c.shmPath(e.Name())); err != nil {
			c.log.Warnf("shared memory of a container that does not run: %v", err)
		}
	}
}

// awaitDonors waits while those that a container joins are about to start again,
// since they end with it, or it with them, and all have policies.
func (c *Containers) awaitDonors(ctx context.Context, ct *Container) {
	ctx, cancel := context.WithTimeout(ctx, patienceForDonors)
	defer cancel()
	for _, id := range joins(ct.Snapshot().HostConfig) {
		if other, ok := c.index.get(id); ok && other != ct {
			_, _ = other.await(ctx, func(s *Snapshot) bool {
				return !s.State.Running || (&donor{s: s}).lives()
			})
		}
	}
}
