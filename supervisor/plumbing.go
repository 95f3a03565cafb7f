package supervisor

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/console"
	"github.com/jobengine/engine/supervisor/protocol"
	"github.com/jobengine/engine/supervisor/spool"
)

// plumbing is both ends of a container's standard streams.
type plumbing struct {
	child          execdriver.Stdio
	stdout, stderr *os.File // read ends
	stdin          *os.File // write end, with OpenStdin
	console        *os.File // our end of the console socket
	tty            *os.File // pty master, once the driver has sent it
}

func openPlumbing(dir string, q protocol.Create, version int) (p *plumbing, err error) {
	p = &plumbing{}
	defer func() {
		if err != nil {
			p.closeChild()
			p.closeOurs()
		}
	}()
	if q.Tty {
		p.console, p.child.ConsoleSocket, err = console.Pair()
		return p, err
	}
	if p.stdout, p.child.Stdout, err = outputPipe(dir, "stdout"); err != nil {
		return p, err
	}
	if p.stderr, p.child.Stderr, err = outputPipe(dir, "stderr"); err != nil {
		return p, err
	}
	if q.OpenStdin {
		if version < protocol.StdinComesAlong {
			p.child.Stdin, p.stdin, err = inputFIFO(dir)
		} else {
			p.child.Stdin, p.stdin, err = inputPipe()
		}
	}
	return p, err
}

// outputPipe makes the FIFO of an output stream. Its mode lets a process that
// dropped to another user reopen /dev/stdout; the folder keeps others out.
// The container's end is open for reading too: while no supervisor reads, a
// writer then waits instead of dying of SIGPIPE.
func outputPipe(dir, name string) (ours, childs *os.File, err error) {
	path := filepath.Join(dir, name)
	if err := makeFIFO(path); err != nil {
		return nil, nil, err
	}
	if childs, err = openBlocking(path, unix.O_RDWR); err != nil {
		return nil, nil, err
	}
	if ours, err = openOutput(path); err != nil {
		childs.Close()
		return nil, nil, err
	}
	return ours, childs, nil
}

func openOutput(path string) (*os.File, error) {
	return os.OpenFile(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

func makeFIFO(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := unix.Mkfifo(path, 0o666); err != nil {
		return &os.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	return os.Chmod(path, 0o666) // whatever the umask
}

// openBlocking is for a container's end: os.OpenFile would make it non-blocking
// for the poller, and the container would inherit that.
func openBlocking(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (p *plumbing) closeChild() {
	protocol.CloseAll([]*os.File{p.child.Stdin, p.child.Stdout, p.child.Stderr, p.child.ConsoleSocket, p.console})
	p.child, p.console = execdriver.Stdio{}, nil
}

func (p *plumbing) closeOurs() {
	protocol.CloseAll([]*os.File{p.stdout, p.stderr, p.stdin})
}

// sources are what the output is read from, by stream.
func (p *plumbing) sources() [spool.Streams]*os.File {
	if p.tty != nil {
		return [spool.Streams]*os.File{p.tty, nil}
	}
	return [spool.Streams]*os.File{p.stdout, p.stderr}
}

// removeRunFiles removes everything from a container's folder but the bundle.
func removeRunFiles(dir string) {
	_ = spool.Remove(dir)
	for _, name := range []string{"stdin", "stdout", "stderr", "state.json", "state.json.tmp", "exit.json"} {
		_ = os.Remove(filepath.Join(dir, name))
	}
	_ = os.RemoveAll(filepath.Join(dir, "execs"))
}
