package driver

import (
	"context"
	"errors"
	"time"
)

// Stream tells the output streams of a container apart. The numbers are those
// of the API's stream frames. All output of a terminal is Stdout.
type Stream byte

// The streams.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// Entry is one record of a log: a line, or a piece of a long one.
type Entry struct {
	// Line has its newline, unless Partial. A driver that keeps text has replaced
	// by U+FFFD what is none; then Raw is what the container wrote, if it is known.
	Line   []byte
	Raw    []byte
	Stream Stream
	// Time is when the line was read from the container, in UTC.
	Time time.Time
	// Attrs are the container's labels and variables that --log-opt asked for.
	// They are shared between entries: not to be changed.
	Attrs map[string]string
	// Partial: the line goes on in the next entry of the same stream.
	Partial bool
}

// ReadOptions selects entries.
type ReadOptions struct {
	// Since leaves out entries before it, Until ends reading at the first entry
	// after it. Zero times do not limit.
	Since, Until time.Time
	// Tail above or at zero begins that many lines before the end, below zero at
	// the beginning. Lines of both streams count; Since applies to what is left.
	Tail int
	// From begins at a place that a Position named, instead of the oldest file;
	// ErrGone if its file has been removed or compressed since. The zero value is
	// the beginning.
	From Position
	// Follow, unless nil, goes on with what is written later.
	Follow Follower
}

// Position is a place between two records: how many bytes of a file lie before
// it. File is the file's number (inode), which its rotation does not change.
type Position struct {
	File   uint64
	Offset int64
}

// ErrGone: the place to begin at is not there any more.
var ErrGone = errors.New("that part of the log is not kept any more")

// A Follower tells a reader when there may be more to read. It is used by one reader.
type Follower interface {
	// Wait returns nil when something was written since the last Wait, at once if
	// it was already, and also without a reason. io.EOF: the writer has ended and
	// all that it wrote can be read; else the context's error.
	Wait(ctx context.Context) error

	// Committed is the place up to which there are whole records that will not be
	// taken back. The zero value: all whole records are such.
	Committed() Position
}

// A Reader gives the entries of one container's log in the order in which they
// were written.
//
// Life cycle: Open → Next* → Close. One goroutine uses it; the writer needs not
// be told and never waits for it. Rotation, removal and damage meanwhile are no
// errors: entries that were removed before they were read are missing, damaged
// ones are left out, a last one that is torn is not seen before it is whole.
type Reader interface {
	// Next gives the next entry; it and its Line are valid until the next call.
	// io.EOF comes after the last one: without Follow that is the last one that
	// was there at Open, with Follow when the follower says so or Until has
	// passed. After an error of the context's or the follower's own reading can go on.
	Next(ctx context.Context) (*Entry, error)

	// Close gives everything back. Next must not be running.
	Close() error
}

// Open begins to read the log at path. A log that is not there is empty. The
// registry of log drivers maps the names of those that can be read to one; the
// others make `logs` fail with the class not implemented.
type Open func(path string, o ReadOptions) (Reader, error)
