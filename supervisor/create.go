package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/console"
	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/internal/phase"
	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/supervisor/protocol"
)

// create makes a container whose first process waits for start.
func (s *supervisor) create(q protocol.Create, version int) (reply, error) {
	s.warmer.warm()
	driver := s.drivers.get(q.Driver)
	switch {
	case !validID(q.ID):
		return reply{}, fmt.Errorf("container id %q: %w", q.ID, protocol.ErrInvalid)
	case driver == nil:
		return reply{}, fmt.Errorf("no exec driver %q: %w", q.Driver, protocol.ErrInvalid)
	case !filepath.IsAbs(q.BundleDir):
		return reply{}, fmt.Errorf("bundle folder %q is not absolute: %w", q.BundleDir, protocol.ErrInvalid)
	case q.Log.Driver != "json-file" && q.Log.Driver != "none":
		return reply{}, fmt.Errorf("log driver %q: %w", q.Log.Driver, protocol.ErrInvalid)
	}
	c, isNew := s.claim(q, driver)
	defer c.op.Unlock()
	if isNew {
		s.starts <- struct{}{}
		err := guard("create", func() error { return c.create(q, version) })
		<-s.starts
		if err != nil {
			s.forget(q.ID)
			return reply{}, err
		}
		go s.awaitEnd(c)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Create.Op != q.Op || c.pidfd == nil {
		return reply{}, execdriver.ErrExists
	}
	if q.Tty && c.tty == nil {
		return reply{}, errors.New("the supervisor was restarted while it made the container's terminal")
	}
	return c.taken(version)
}

// claim finds or enters the container, and locks its op.
func (s *supervisor) claim(q protocol.Create, driver execdriver.Driver) (c *container, isNew bool) {
	s.mu.Lock()
	c = s.containers[q.ID]
	if c == nil {
		c = &container{
			id: q.ID, dir: s.dir(q.ID), driver: driver,
			ended: make(chan struct{}), execs: map[string]*execution{},
		}
		c.op.Lock()
		s.containers[q.ID] = c
		s.mu.Unlock()
		return c, true
	}
	s.mu.Unlock()
	c.op.Lock()
	return c, false
}

// answerWith answers with duplicates of files, which cannot be closed meanwhile.
func answerWith(body any, files []*os.File) (reply, error) {
	r := reply{body: body, owned: true}
	for _, f := range files {
		d, err := duplicate(f)
		if err != nil {
			protocol.CloseAll(r.files)
			return reply{}, err
		}
		r.files = append(r.files, d)
	}
	return r, nil
}

func (c *container) create(q protocol.Create, version int) (err error) {
	phase.Mark("supervisor", "create arrives")
	bundle, err := readBundle(q.BundleDir)
	if err != nil {
		return err
	}
	if bundle.Spec.Process.Terminal != q.Tty {
		return fmt.Errorf("terminal %v in the spec, %v in the request: %w", bundle.Spec.Process.Terminal, q.Tty, protocol.ErrInvalid)
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	var undo []func()
	done := false
	defer func() {
		if !done { // after an error or a panic
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
			removeRunFiles(c.dir)
		}
	}()

	p, err := openPlumbing(c.dir, q, version)
	if err != nil {
		return err
	}
	defer p.closeChild()
	undo = append(undo, p.closeOurs)
	if err := own(p.child, idsOf(bundle.Spec)); err != nil {
		return err
	}

	if c.output, err = newOutput(c.dir, q); err != nil {
		return err
	}
	undo = append(undo, c.output.close)

	phase.Mark("supervisor", "pipes and log made")
	ctx := context.Background()
	process, err := c.driver.Create(ctx, q.ID, bundle, p.child)
	if err != nil {
		return err
	}
	phase.Mark("supervisor", "driver has created")
	_ = failpoint.Hit(failpoint.ProcessMade)
	undo = append(undo, func() {
		_ = c.driver.Delete(ctx, q.ID)
		pidfd.Reap(process.PidFD)
		process.PidFD.Close()
	})
	if q.Tty {
		if p.tty, err = console.Receive(p.console); err != nil {
			return fmt.Errorf("no terminal from the exec driver: %w", err)
		}
		undo = append(undo, func() { p.tty.Close() })
	}
	st := state{Create: q, Process: protocol.Process{Pid: process.Pid}, StdinInode: inodeOf(p.stdin)}
	if st.Process.StartTime, err = pidfd.StartTime(process.Pid); err != nil {
		return err
	}
	if err := st.save(c.dir); err != nil {
		return err
	}
	c.mu.Lock()
	c.state, c.pidfd, c.tty, c.stdin = st, process.PidFD, p.tty, p.stdin
	c.mu.Unlock()
	c.output.begin(p.sources(), q.Tty)
	phase.Mark("supervisor", "state saved")
	done = true
	return nil
}

func readBundle(dir string) (execdriver.Bundle, error) {
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return execdriver.Bundle{}, err
	}
	b := execdriver.Bundle{Dir: dir, Spec: new(specs.Spec)}
	if err := json.Unmarshal(text, b.Spec); err != nil {
		return b, fmt.Errorf("%s/config.json: %v: %w", dir, err, protocol.ErrInvalid)
	}
	if b.Spec.Process == nil || b.Spec.Root == nil || !filepath.IsAbs(b.Spec.Root.Path) {
		return b, fmt.Errorf("%s/config.json: process and an absolute root path are needed: %w", dir, protocol.ErrInvalid)
	}
	return b, nil
}

// validID accepts what is a file name and nothing more.
func validID(id string) bool {
	if id == "" || len(id) > 128 || strings.HasPrefix(id, ".") {
		return false
	}
	for _, r := range id {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '-') {
			return false
		}
	}
	return true
}

func duplicate(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var dup int
	var derr error
	if err := raw.Control(func(fd uintptr) { dup, derr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) }); err != nil {
		return nil, err
	}
	if derr != nil {
		return nil, os.NewSyscallError("fcntl", derr)
	}
	return os.NewFile(uintptr(dup), f.Name()), nil
}
