package runtime

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/internal/usage"
	"github.com/jobengine/engine/logs/driver"
)

// Runtime runs processes. Its errors are those below, or others with the
// runtime's text.
type Runtime interface {
	Lifecycle
	Streams
	Execs
}

// The errors of a Runtime that are told apart.
var (
	ErrNoProgram     = errors.New("program not found")
	ErrNotExecutable = errors.New("program not executable")
	ErrNotRunning    = errors.New("not running")
	ErrAbsent        = errors.New("the runtime knows no such container")
	ErrUnsupported   = errors.New("not supported by the runtime")
	// ErrLagged: the output asked for is not kept any more; the log has it.
	ErrLagged = errors.New("output is not kept that long")
)

// Lifecycle is the life of a container's processes.
//
// Create → Start → an Exit comes → Delete. An error of Create leaves nothing
// but the bundle. Delete kills what is left, removes the bundle, and is no
// error for what is not there.
type Lifecycle interface {
	// Expect says that a Create is likely to come soon: what it would have to
	// wait for begins now. It returns at once, and nothing has to follow.
	Expect()
	Create(ctx context.Context, run RunSpec) (Process, error)
	Start(ctx context.Context, id string) error
	Signal(ctx context.Context, id string, sig syscall.Signal) error
	Pause(ctx context.Context, id string) error
	Resume(ctx context.Context, id string) error
	Pids(ctx context.Context, id string) ([]int, error)
	Delete(ctx context.Context, id string) error
	// Update changes limits of a container that runs; what is nil or empty stays.
	Update(ctx context.Context, id string, limits *specs.LinuxResources) error
	// Stats tells what a running container uses.
	Stats(ctx context.Context, id string) (usage.Usage, error)
	// OOMs tells of living containers that lost processes for lack of memory, as
	// soon as it happens and again after each connection. It ends as Exits does.
	OOMs() iter.Seq[OOM]
	// List tells what lives, for adoption.
	List(ctx context.Context) ([]State, error)
	// Exits tells of each end of a container or exec, again and again until
	// Ack is called for it. It ends when the runtime is closed.
	Exits() iter.Seq[Exit]
	Ack(Exit)
}

// Streams are what a running container reads and writes.
type Streams interface {
	// Output opens the output of a container that Create has made. It stays
	// readable after Delete.
	Output(ctx context.Context, id string) (Output, error)
	// OpenStdin opens a write end of a container's stdin. The caller owns it.
	OpenStdin(id string) (io.WriteCloser, error)
	// CloseStdin ends the stdin of a container for good, and closes all write ends:
	// writes then fail with os.ErrClosed.
	CloseStdin(ctx context.Context, id string) error
	// TTY gives the master of a container's terminal. The caller owns it.
	TTY(ctx context.Context, id string) (*os.File, error)
}

// Execs are further processes in running containers.
type Execs interface {
	// Exec starts a process. With Process.Terminal the files are nil and the
	// result has the TTY. Otherwise they become the process's own descriptors,
	// nil is /dev/null; the caller closes its copies.
	Exec(ctx context.Context, container, execID string, p *specs.Process, stdin, stdout, stderr *os.File) (Process, error)
	ExecSignal(ctx context.Context, container, execID string, sig syscall.Signal) error
	// KeepExec leaves duplicates of the daemon's ends of an exec's streams where
	// they outlive the daemon: a terminal without a master hangs up, and who
	// writes into a pipe without a reader dies. It does not wait.
	KeepExec(container, execID string, s ExecStreams)
	// TakeExec gives an exec that an earlier daemon has started and that runs,
	// and what was kept of it; the caller owns the files. ErrAbsent when it has ended.
	TakeExec(ctx context.Context, container, execID string) (Process, ExecStreams, error)
}

// ExecStreams are the daemon's ends of an exec's streams; nil where there is none.
type ExecStreams struct{ TTY, Stdout, Stderr *os.File }

// RunSpec describes one run of a container.
type RunSpec struct {
	ID        string
	Driver    string // of the exec drivers
	BundleDir string // has config.json
	Run       int    // number of the run, from 1
	Tty       bool
	OpenStdin bool
	Log       LogSpec
	ExitFile  string // where the exit is recorded before it is told
	Durable   bool   // whether that record has to survive a reboot
}

// LogSpec says where the output of a container is written.
type LogSpec struct {
	Driver       string // "json-file" or "none"
	Path         string
	MaxSizeBytes int64 // 0 is no limit
	MaxFiles     int
	Compress     bool
	Attrs        map[string]string // written with each line
}

// Process is a process that was made. The receiver owns the files.
type Process struct {
	Pid       int
	StartTime uint64 // of /proc/PID/stat
	PidFD     *os.File
	TTY       *os.File // the terminal's master; nil without one
}

// Exit is the end of a container's first process or of an exec.
type Exit struct {
	Container string
	ExecID    string // "" for the container itself
	Pid       int
	StartTime uint64
	ExitCode  int // 128+n after signal n; 255 with Error where nobody knows
	OOMKilled bool
	OOMKills  uint64 // of all its processes, where they are counted
	At        time.Time
	Error     string `json:",omitempty"`
	// Number and Epoch name this telling of it for Ack.
	Number uint64 `json:",omitempty"`
	Epoch  uint64 `json:",omitempty"`
}

// OOM says how many processes of a container were killed, since it was
// started, because its memory ran out.
type OOM struct {
	Container string
	Pid       int // of the container's first process
	StartTime uint64
	Kills     uint64
}

// State is a container that the runtime knows.
type State struct {
	ID        string
	Status    string // "created", "running" or "exited"
	Pid       int
	StartTime uint64
	Tty       bool
	Run       int
	Exit      *Exit    // once it has ended
	Execs     []string // that run
	// ExecsEnded have ended, and their Exit is still to be acknowledged.
	ExecsEnded []string
}

// Stream tells the streams of an Output apart.
type Stream int

// The streams. A terminal has only Stdout.
const (
	Stdout Stream = iota
	Stderr
)

// Output is what a container writes, by offset from the beginning of the run.
type Output interface {
	// ReadAt gives 0, nil where nothing is yet, io.EOF at the end, and ErrLagged for what is not kept.
	ReadAt(s Stream, p []byte, off int64) (int, error)
	// Written is the number of bytes so far: the offset of now.
	Written(s Stream) int64
	// FirstKept is the offset of the oldest byte that can be read.
	FirstKept(s Stream) int64
	// Committed tells how much of it the log holds for good.
	Committed() Commit
	// Wait returns when there is something new since the last Wait, and io.EOF
	// when nothing more can come because the container is gone.
	Wait(ctx context.Context) error
	// ReadTo tells how far the reader is. A container whose output no log keeps
	// waits for its only reader, if that tells at once and as it reads on; not
	// for one that stands still.
	ReadTo(offset [2]int64)
	Close() error
}

// Commit says that the log up to a place holds the output up to an offset of each stream.
type Commit struct {
	Offset [2]int64
	Log    driver.Position // zero without a log
}
