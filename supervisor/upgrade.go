package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

const (
	// upgradePatience is how long starts and removals that are in flight have to end.
	upgradePatience = 15 * time.Second
	// trialPatience is how long the new program has to say that it can go on.
	trialPatience = 10 * time.Second
)

// upgrade makes this process the program of the file that came along: execve
// keeps its children, its lock and the descriptors that are handed over. It
// returns only if that fails; then nothing has changed.
func (s *supervisor) upgrade(q protocol.Upgrade, files []*os.File) error {
	if len(files) != 1 {
		return protocol.ErrInvalid
	}
	if !s.upgrading.TryLock() {
		return fmt.Errorf("an upgrade is going on: %w", execdriver.ErrExists)
	}
	defer s.upgrading.Unlock()
	if err := s.tryProgram(files[0]); err != nil {
		return fmt.Errorf("the new program can not take over: %w", err)
	}
	if !s.gate.close(upgradePatience) {
		return errors.New("containers were being started or removed all the time")
	}
	defer s.gate.open()
	err := s.become(files[0], q.Build)
	logrus.Errorf("upgrade: %v", err)
	return err
}

// tryProgram runs the new program once beside this one, to hear from itself that
// it understands everything that it would be given.
func (s *supervisor) tryProgram(program *os.File) error {
	ctx, cancel := context.WithTimeout(context.Background(), trialPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/fd/3")
	cmd.Args = []string{protocol.Name, "--exec-root", s.root, "--trial", strconv.Itoa(handoverVersion)}
	cmd.ExtraFiles = []*os.File{program}
	cmd.WaitDelay = time.Second
	text, err := cmd.CombinedOutput()
	if err == nil && bytes.HasSuffix(text, []byte(trialPassed)) {
		return nil
	} else if err == nil {
		err = errors.New("it does not know what was asked")
	}
	if text = bytes.TrimSpace(text); len(text) > 0 {
		const enough = 500
		return fmt.Errorf("%w: %s", err, text[max(0, len(text)-enough):])
	}
	return err
}

// trialPassed is what a program says that is a supervisor and can go on.
const trialPassed = "can take over\n"

// trial is the other side of tryProgram: it reads what there is and changes nothing.
func trial(root string, version int, kinds Drivers) error {
	if version != handoverVersion {
		return fmt.Errorf("handovers of version %d are not understood, only %d", version, handoverVersion)
	}
	drivers, err := openDrivers(root, kinds)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(protocol.ContainersDir(root))
	if err != nil {
		return err
	}
	for _, e := range entries {
		st, err := loadState(protocol.ContainerDir(root, e.Name()))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, errDamaged) {
			continue // nor can the one that runs make anything of it
		} else if err != nil {
			return err
		}
		if drivers.get(st.Create.Driver) == nil {
			return fmt.Errorf("container %s: no exec driver %q", e.Name(), st.Create.Driver)
		}
	}
	_, err = os.Stdout.WriteString(trialPassed)
	return err
}

// become replaces the process. The gate is closed.
func (s *supervisor) become(program *os.File, build string) error {
	// No process may be forked while descriptors are open for the next program,
	// and no output of a terminal may be on its way.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	h := &handover{}
	defer h.close()
	if err := s.describeAll(h); err != nil {
		return err
	}
	state, err := h.file()
	if err != nil {
		return err
	}
	raw, err := program.SyscallConn()
	if err != nil {
		return err
	}
	args := []string{
		protocol.Name, "--exec-root", s.root, "--log-level", s.level,
		"--build", build, "--inherit", strconv.Itoa(state),
	}
	// Caught signals get their deadly default by execve; ignored ones stay so
	// until the new program catches them.
	ignoreSignals()
	defer s.signals.catch()
	cerr := raw.Control(func(fd uintptr) { // which is closed by a successful execve
		err = syscall.Exec("/proc/self/fd/"+strconv.Itoa(int(fd)), args, os.Environ())
	})
	return errors.Join(cerr, os.NewSyscallError("execve", err))
}

// describeAll puts all descriptors that must outlive this program into h.
func (s *supervisor) describeAll(h *handover) (err error) {
	pass := func(f *os.File) (fd int) {
		if f != nil && err == nil {
			fd, err = h.pass(f)
			if errors.Is(err, os.ErrClosed) {
				fd, err = 0, nil // its end is being dealt with
			}
		}
		return fd
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h.Ending = s.ending
	h.Lock = pass(s.lock)
	if h.Listener, err = h.passConn(s.socket); err != nil {
		return err
	}
	h.Containers = make(map[string]inherited, len(s.containers))
	for id, c := range s.containers {
		c.mu.Lock()
		in := inherited{PidFD: pass(c.pidfd), TTY: pass(c.tty), Stdin: pass(c.stdin), Released: c.released}
		for name, x := range c.execs {
			if in.Execs == nil {
				in.Execs = map[string]inheritedExec{}
			}
			e := inheritedExec{PidFD: pass(x.pidfd)}
			for _, held := range x.held {
				e.Held = append(e.Held, inheritedFile{held.name, pass(held.file)})
			}
			in.Execs[name] = e
		}
		terminal := c.state.Create.Tty
		c.mu.Unlock()
		if c.output != nil && !terminal {
			c.output.mu.Lock()
			for stream, f := range c.output.sources {
				in.Output[stream] = pass(f)
			}
			c.output.mu.Unlock()
		}
		h.Containers[id] = in
	}
	return err
}
