package supervisor

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/phase"
	"github.com/jobengine/engine/supervisor/protocol"
)

// Drivers are the exec drivers that a supervisor offers, by name.
type Drivers map[string]execdriver.New

// Main is the supervisor's role: it serves until it is told to shut down and no
// container is left, and returns the exit code of the process. Args are those
// after the program's name.
func Main(args []string, drivers Drivers) int {
	// Mostly the first thread, which then never runs what libcontainer does on
	// threads that it throws away: Go cannot throw away the first.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	logrus.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true, TimestampFormat: time.RFC3339Nano})
	if err := run(args, drivers); err != nil {
		logrus.Errorf("%s: %v", protocol.Name, err)
		return 1
	}
	return 0
}

func run(args []string, drivers Drivers) error {
	flags := flag.NewFlagSet(protocol.Name, flag.ContinueOnError)
	execRoot := flags.String("exec-root", "/run/engine", "folder for run-time files")
	fd := flags.Int("fd", -1, "inherited descriptor of the listening socket")
	level := flags.String("log-level", "warning", "debug, info, warning, error")
	build := flags.String("build", "", "name of this program for the daemon")
	inherit := flags.Int("inherit", -1, "descriptor of the handover of the program that this process was before")
	trialOf := flags.Int("trial", 0, "only tell whether a handover of this version could be taken over")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	l, err := logrus.ParseLevel(*level)
	if err != nil {
		return err
	}
	logrus.SetLevel(l)
	if phase.On() {
		logrus.SetLevel(logrus.DebugLevel)
		logrus.AddHook(stages{})
	}
	root, err := filepath.Abs(*execRoot)
	if err != nil {
		return err
	}

	if *trialOf != 0 {
		return trial(root, *trialOf, drivers)
	}

	// Started through /proc/…/fd/N its name would be a number.
	_ = os.WriteFile("/proc/self/comm", []byte(protocol.Name), 0)
	// Relative paths mean nothing here, and no file system must be kept busy.
	if err := os.Chdir("/"); err != nil {
		return err
	}
	signals := newSignals()
	signals.catch()
	defaultIgnored()

	if err := os.MkdirAll(protocol.ContainersDir(root), 0o700); err != nil {
		return err
	}
	var h *handover
	var lock *os.File
	if *inherit >= 0 {
		if h, err = receive(*inherit); err != nil {
			return err
		}
		lock, *fd = inheritedAs(h.Lock, "lock"), h.Listener
	} else if lock, err = lockRoot(root); err != nil {
		return err
	}
	defer lock.Close()
	listener, err := listen(root, *fd)
	if err != nil {
		return err
	}
	s, err := newSupervisor(root, drivers)
	if err != nil {
		return err
	}
	s.build, s.level, s.lock, s.socket, s.signals = *build, *level, lock, listener, signals
	s.adoptAll(h)
	return s.serve(listener, signals.terminate)
}

// stages makes a mark of each message that libcontainer sends from inside a
// container that is being made.
type stages struct{}

func (stages) Levels() []logrus.Level { return []logrus.Level{logrus.DebugLevel, logrus.InfoLevel} }

func (stages) Fire(e *logrus.Entry) error {
	phase.Mark("init", e.Message)
	return nil
}

// signals makes the supervisor outlive the signals of a terminal. They are
// caught and not ignored, because a container would inherit an ignored signal.
type signals struct {
	others, terminate chan os.Signal
}

func newSignals() *signals {
	s := &signals{others: make(chan os.Signal, 16), terminate: make(chan os.Signal, 1)}
	go func() {
		for range s.others {
		}
	}()
	return s
}

var survived = []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGPIPE, unix.SIGUSR1, unix.SIGUSR2}

func (s *signals) catch() {
	signal.Notify(s.others, survived...)
	signal.Notify(s.terminate, unix.SIGTERM)
}

// ignoreSignals is for the moments of an execve.
func ignoreSignals() { signal.Ignore(append(slices.Clone(survived), unix.SIGTERM)...) }

// lockRoot keeps a second supervisor away. A predecessor that is just being
// killed may hold the lock for some more moments.
func lockRoot(root string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(root, "supervisor.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for wait := 0; ; wait++ {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || wait == 200 {
			pid := make([]byte, 16)
			n, _ := f.ReadAt(pid, 0)
			f.Close()
			return nil, fmt.Errorf("exec root %s belongs to the supervisor with pid %s: %w", root, pid[:n], err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = f.Truncate(0)
	_, err = f.WriteAt([]byte(fmt.Sprint(os.Getpid())), 0)
	return f, err
}

func listen(root string, fd int) (*net.UnixListener, error) {
	if fd >= 0 {
		f := os.NewFile(uintptr(fd), "listener")
		if f == nil {
			return nil, fmt.Errorf("descriptor %d is not open", fd)
		}
		defer f.Close()
		l, err := net.FileListener(f)
		if err != nil {
			return nil, err
		}
		u, ok := l.(*net.UnixListener)
		if !ok {
			return nil, fmt.Errorf("descriptor %d is not a unix socket", fd)
		}
		u.SetUnlinkOnClose(false)
		return u, nil
	}
	path := protocol.SocketPath(root)
	_ = os.Remove(path) // the lock is ours, so nobody listens there
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	l, err := net.ListenUnix(protocol.Network, &net.UnixAddr{Name: path, Net: protocol.Network})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	return l, nil
}
