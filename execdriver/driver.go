package execdriver

import (
	"context"
	"errors"
	"os"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// A Driver runs containers that are described by OCI runtime bundles.
//
// Life cycle of one container:
//
//	Create → (the caller joins networks) → Start → Exec* and Signal* → the first process ends → Delete
//
// The driver keeps what it must know about a container in its state folder and
// in the kernel, not in memory: every method may be called by another process
// than the one that called Create, so that a supervisor can be killed and
// replaced while containers run. Methods for different containers may run at
// the same time; for one container the caller calls one at a time, except Exec
// and Signal, which may overlap with each other.
type Driver interface {
	// Create makes container id from a bundle and returns its first process,
	// which waits just before it becomes the user's program. An error leaves
	// nothing behind. ErrExists if id is known already; ErrNoProgram or
	// ErrNotExecutable when the program cannot be run.
	Create(ctx context.Context, id string, b Bundle, stdio Stdio) (Process, error)

	// Start lets the waiting first process run the user's program. It may
	// return ErrNoProgram or ErrNotExecutable too, where this is found out late.
	// Starting a container that runs already is not an error, because a
	// supervisor that took over may not know; ErrNotRunning when it has ended.
	Start(ctx context.Context, id string) error

	// Exec starts a further process in a running container. An error leaves
	// no process behind.
	Exec(ctx context.Context, id string, p *specs.Process, stdio Stdio) (Process, error)

	// Signal sends a signal to the first process. ErrNotRunning when it has ended.
	Signal(ctx context.Context, id string, sig syscall.Signal) error

	// Delete kills what is left of the container and frees everything that
	// the driver holds for it. Deleting an absent container is not an error.
	Delete(ctx context.Context, id string) error

	// List names the containers that the state folder knows, whatever their state.
	List(ctx context.Context) ([]string, error)
}

// Bundle is an OCI bundle: Dir holds config.json, and Spec is that file already parsed.
// Spec.Root.Path is absolute.
type Bundle struct {
	Dir  string
	Spec *specs.Spec
}

// Stdio is what a process reads and writes. The driver passes the files on and
// neither closes nor keeps them; they are blocking, and a nil one means
// /dev/null. With a terminal (Process.Terminal of the spec) only ConsoleSocket,
// one end of a unix socket pair, is set: the driver sends the pty's master over
// it as SCM_RIGHTS before Create or Exec returns.
type Stdio struct {
	Stdin, Stdout, Stderr *os.File
	ConsoleSocket         *os.File
}

// Process is a process that a driver has started. PidFD is opened with
// PIDFD_NONBLOCK, so that the receiver, who owns it, can wait for it in the
// poller; the driver never waits. The receiver reaps the process in any case: the
// zombie of an exec keeps the first process of its pid namespace from ending.
type Process struct {
	Pid   int
	PidFD *os.File
}

// Pauser is implemented by drivers that can freeze all processes of a container.
// Pausing a paused container and resuming a running one are not errors. A paused
// container dies of Signal with SIGKILL and of Delete without being resumed.
type Pauser interface {
	Pause(ctx context.Context, id string) error
	Resume(ctx context.Context, id string) error
}

// Pidser is implemented by drivers that can list a container's processes,
// as process ids in the host's pid namespace.
type Pidser interface {
	Pids(ctx context.Context, id string) ([]int, error)
}

// A Killer can kill all processes of a container although its first process has
// ended. It matters where the container shares its pid namespace: there the end
// of the first process ends nothing else.
type Killer interface {
	KillAll(ctx context.Context, id string) error
}

// An OOMTeller can tell, until Delete, whether the kernel killed a process of
// the container because its memory limit was reached.
type OOMTeller interface {
	OOMKilled(ctx context.Context, id string) (bool, error)
}

// Describer is implemented by drivers that have something to say in `info`.
type Describer interface {
	// Describe gives name-value pairs, such as "Seccomp" "builtin".
	Describe() [][2]string
}

// Options is what every driver is opened with.
type Options struct {
	// StateDir is the driver's own folder below the exec root; it does not survive a reboot.
	StateDir string
	// Options are the user's --exec-opt for this driver.
	Options map[string]string
}

// New opens a driver. It fails when the host cannot run it, and says why.
type New func(Options) (Driver, error)

// The errors that callers tell apart.
var (
	ErrExists        = errors.New("container exists")
	ErrNotFound      = errors.New("no such container")
	ErrNotRunning    = errors.New("container is not running")
	ErrNoProgram     = errors.New("program not found")
	ErrNotExecutable = errors.New("program not executable")
	// ErrUnsupported: the driver lacks an optional ability.
	ErrUnsupported = errors.New("not supported by the exec driver")
)
