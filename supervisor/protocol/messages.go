package protocol

import (
	"encoding/json"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Version of the messages. A supervisor refuses a message with a newer one.
//
// 1 was the first; 2 brought upgrade, hold and take_exec; 3 made stdin a pipe
// without a name, whose write end comes along.
const Version = 3

// StdinComesAlong is the version since which a container's stdin has no name, and
// create, take and give carry a write end of it. To those who speak an earlier
// one it is the FIFO "stdin" in the container's folder.
const StdinComesAlong = 3

// Oldest is the oldest version that is still spoken. A connection begins with
// it: who is at the other end is not known yet.
const Oldest = 1

// The operations. The comment names the body of the request, that of the
// answer, and the descriptors that go along.
const (
	OpHello      = "hello"       // Hello → HelloReply
	OpCreate     = "create"      // Create → Taken + pidfd [+ pty master] [+ stdin]
	OpStart      = "start"       // Start
	OpExpect     = "expect"      // a create is likely to come soon; not answered
	OpSignal     = "signal"      // Signal
	OpExec       = "exec"        // Exec + stdio → Process + pidfd [+ pty master]
	OpPause      = "pause"       // Target
	OpResume     = "resume"      // Target
	OpPids       = "pids"        // Target → Pids
	OpDelete     = "delete"      // Target
	OpList       = "list"        // → List
	OpWatch      = "watch"       // Watch + eventfd
	OpUnwatch    = "unwatch"     // Watch
	OpAck        = "ack"         // Ack
	OpCloseStdin = "close_stdin" // Target
	OpTake       = "take"        // Target → Taken + pidfd [+ pty master] [+ stdin]
	OpGive       = "give"        // Give + pidfd [+ pty master] [+ stdin]: for a supervisor that took over
	OpShutdown   = "shutdown"    // the supervisor ends once it has no containers
	OpExit       = "exit"        // pushed: Exit

	// Since version 2.
	OpUpgrade  = "upgrade"   // Upgrade + program: answered only if it fails
	OpHold     = "hold"      // Hold + files
	OpTakeExec = "take_exec" // TakeExec → TakenExec + pidfd + files
	OpRead     = "read"      // Watch with Reader
)

// Message is one packet.
type Message struct {
	V     int             `json:"v"`
	Seq   uint64          `json:"seq,omitempty"`
	Op    string          `json:"op,omitempty"`
	Error *Error          `json:"error,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`
	// Large says that this message's JSON is in the memfd that is its first descriptor.
	Large bool `json:"large,omitempty"`
}

// Hello opens a connection.
type Hello struct {
	// Exits asks for exits to be pushed, the unacknowledged ones first.
	Exits bool
	// Version is the newest that the daemon speaks; 0 is 1.
	Version int `json:",omitempty"`
	// Drivers are the exec drivers that the daemon wants besides those that are
	// there without options. They hold for the containers of all daemons.
	Drivers []Driver `json:",omitempty"`
}

// Driver asks for an exec driver under a name of its own and with options.
type Driver struct {
	Name    string            // what Create.Driver and HelloReply.Drivers call it
	Kind    string            `json:",omitempty"` // which driver; "" is Name
	Options map[string]string `json:",omitempty"`
}

// Spoken is the version that two speak of whom each knows all up to its own.
func Spoken(theirs int) int { return max(Oldest, min(theirs, Version)) }

// HelloReply says who answers. Epoch differs between any two supervisors, also
// between one and what it became by an upgrade.
type HelloReply struct {
	Version int
	Pid     int
	Epoch   uint64
	Drivers []string
	// Configured says that Hello.Drivers was understood.
	Configured bool `json:",omitempty"`
	// Problem is why what Hello.Drivers wants can't be had.
	Problem string `json:",omitempty"`
	// Build is the name of its program that it was started with; "" if it had none.
	Build string `json:",omitempty"`
}

// Upgrade makes the supervisor become the program whose descriptor comes along.
type Upgrade struct {
	Build string // the program's name, for HelloReply
}

// Hold gives the daemon's ends of an exec's streams into safe keeping until the
// exec ends: a terminal whose master is closed hangs up, and a process that
// writes into a pipe that nobody can read dies. Names has one for each
// descriptor: "tty", "stdout", "stderr".
type Hold struct {
	Container, ExecID string
	Names             []string
}

// TakeExec names an exec.
type TakeExec struct{ Container, ExecID string }

// TakenExec is an exec that runs. Names are those of Hold, for the descriptors
// after the pidfd.
type TakenExec struct {
	Process
	Names []string
}

// Create makes a container whose first process waits.
type Create struct {
	ID        string
	Op        string `json:",omitempty"` // operation id; the client fills it in
	Driver    string
	BundleDir string // absolute; holds config.json, whose root.path is absolute
	Run       uint64 // number of this run of the container, kept in the commit page
	Tty       bool
	OpenStdin bool
	Log       Log
	// ExitFile is where the exit record goes before anybody is told. Its folder exists.
	ExitFile string
	// Durable makes the exit record survive a power cut before anybody is told.
	Durable bool
}

// Log says what becomes of a container's output beside the spool.
type Log struct {
	Driver       string            // "json-file", or "none"
	Path         string            `json:",omitempty"`
	MaxSizeBytes int64             `json:",omitempty"` // rotate at this size; 0: never
	MaxFiles     int               `json:",omitempty"` // kept files, the current one counted; 0 is 1
	Compress     bool              `json:",omitempty"` // gzip rotated files
	Attrs        map[string]string `json:",omitempty"` // written into each record
}

// Process describes a started process. StartTime is in clock ticks since boot, from /proc/PID/stat.
type Process struct {
	Pid       int
	StartTime uint64
}

// Taken is a container's first process. Stdin says that the last descriptor is a
// write end of its stdin.
type Taken struct {
	Process
	Stdin bool `json:",omitempty"`
}

// Start releases the first process.
type Start struct {
	ID string
	Op string
}

// Target names a container.
type Target struct{ ID string }

// Give hands back to a new supervisor what only the daemon still has of a
// container: the pidfd from its start, which can tell the exit code of a process
// that is gone by now, the master of its terminal, and a write end of its stdin.
type Give struct {
	ID  string
	TTY bool // the pty master came along, after the pidfd
	// Stdin: a write end of stdin came along, as the last.
	Stdin bool `json:",omitempty"`
}

// Signal goes to the first process, or with ExecID to that of an exec.
type Signal struct {
	ID     string
	ExecID string `json:",omitempty"`
	Signal int
}

// Exec starts a further process. Stdin, Stdout and Stderr say which of the
// three descriptors are sent, in this order. With Process.Terminal none is.
type Exec struct {
	Container string
	ExecID    string
	Op        string `json:",omitempty"` // operation id; the client fills it in
	Process   *specs.Process
	Stdin     bool `json:",omitempty"`
	Stdout    bool `json:",omitempty"`
	Stderr    bool `json:",omitempty"`
}

// Pids are process ids in the host's pid namespace.
type Pids struct{ Pids []int }

// List is everything that the supervisor looks after.
type List struct{ Containers []Container }

// The states of a container.
const (
	StateCreated = "created" // the first process waits for Start
	StateRunning = "running"
	StateExited  = "exited" // until Delete
)

// Container is one entry of List. Exit is set in the state exited.
type Container struct {
	ID        string
	Driver    string
	State     string
	Pid       int
	StartTime uint64
	Run       uint64
	Tty       bool
	Paused    bool     `json:",omitempty"`
	StdinOpen bool     `json:",omitempty"` // it has a stdin that nobody has closed for good
	Exit      *Exit    `json:",omitempty"`
	Execs     []string `json:",omitempty"` // ids of those that run
	// Ended are ids of execs that have ended and whose exit nobody has acknowledged.
	Ended []string `json:",omitempty"`
}

// Watch asks for, or ends, writes to an eventfd whenever the container's output
// grew, was committed or ended. Key is the client's name for it.
type Watch struct {
	ID  string
	Key uint64
	// Reader is how far the client has read each stream, if the container is to
	// wait for it: nobody else has what is no longer in the spool. It does so for
	// the only watcher, and not for one that stands still for long.
	Reader *[2]int64 `json:",omitempty"`
}

// Exit tells that a process ended. It is also the record in ExitFile.
type Exit struct {
	Container string
	ExecID    string `json:",omitempty"` // empty: the container's first process
	Pid       int
	StartTime uint64
	// ExitCode is 128 plus the number for a process that a signal ended, and 255
	// with an Error where nobody could know.
	ExitCode  int
	OOMKilled bool   `json:",omitempty"`
	OOMKills  uint64 `json:",omitempty"` // of all its processes, where the driver counts them
	At        time.Time
	Error     string `json:",omitempty"`
	// Number and Epoch name this telling of it for Ack.
	Number uint64 `json:",omitempty"`
	Epoch  uint64 `json:",omitempty"`
}

// Ack says that an exit need not be told again.
type Ack struct {
	Epoch, Number uint64
}
