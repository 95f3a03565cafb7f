package supervisor

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// Drivers are the exec drivers that a supervisor offers, by name.
type Drivers map[string]execdriver.New

// Main is the supervisor's role: it serves until it is told to shut down and no
// container is left, and returns the exit code of the process. Args are those
// after the program's name.
func Main(args []string, drivers Drivers) int {
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
	root, err := filepath.Abs(*execRoot)
	if err != nil {
		return err
	}

	// Started through /proc/…/fd/N its name would be a number.
	_ = os.WriteFile("/proc/self/comm", []byte(protocol.Name), 0)
	// Relative paths mean nothing here, and no file system must be kept busy.
	if err := os.Chdir("/"); err != nil {
		return err
	}
	defaultIgnored()
	terminate := catchSignals()

	if err := os.MkdirAll(filepath.Join(root, "containers"), 0o700); err != nil {
		return err
	}
	lock, err := lockRoot(root)
	if err != nil {
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
	s.adoptAll()
	return s.serve(listener, terminate)
}

// catchSignals makes the supervisor outlive the signals of a terminal. They are
// caught and not ignored, because a container would inherit an ignored signal.
func catchSignals() <-chan os.Signal {
	others := make(chan os.Signal, 16)
	signal.Notify(others, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGPIPE, unix.SIGUSR1, unix.SIGUSR2)
	go func() {
		for range others {
		}
	}()
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, unix.SIGTERM)
	return terminate
}

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
