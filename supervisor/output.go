package supervisor

import (
	"bytes"
	"errors"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/logs/jsonfile"
	"github.com/jobengine/engine/supervisor/protocol"
	"github.com/jobengine/engine/supervisor/spool"
)

// output moves what a container prints into its spool, and from there into its log.
type output struct {
	id    string
	dir   string
	ended atomic.Bool    // the first process has: take what is there and stop
	stop  chan struct{}  // closed when ended is set
	pumps sync.WaitGroup // one for each stream

	mu      sync.Mutex // guards the log, the commit and what follows
	spool   *spool.Writer
	log     *jsonfile.Writer // nil: no log
	at      spool.Commit
	failing bool // the last attempt to write the log failed
	closed  bool
	sources [spool.Streams]*os.File
	watches []watch
	moved   chan struct{} // closed and replaced when those have changed

	reunited time.Time // until then a container that was taken over waits for its readers; constant
}

// pumpBuffer is what one goroutine needs while it moves bytes. It is taken from a
// pool for that time only, so that a quiet container owns none.
type pumpBuffer struct {
	raw     [64 << 10]byte
	records []byte
}

var pumpBuffers = sync.Pool{New: func() any { return new(pumpBuffer) }}

const (
	takeMax = 64 << 10
	// backlogMax is how much output waits in the spool for a log that cannot be
	// written, as on a full disk. Beyond it the oldest is given up: a container
	// must not stand still because of its log.
	backlogMax = 8 << 20
	// drainMax bounds what is taken after the first process's end, in case somebody still writes.
	drainMax = 16 << 20
)

func newOutput(dir string, q protocol.Create) (*output, error) {
	w, err := spool.Create(dir, q.Run, q.Tty)
	if err != nil {
		return nil, err
	}
	o := newOutputOn(w, dir, q)
	if err := o.openLog(q.Log); err != nil {
		w.Close()
		return nil, err
	}
	o.commit()
	return o, nil
}

func newOutputOn(w *spool.Writer, dir string, q protocol.Create) *output {
	return &output{id: q.ID, dir: dir, spool: w, stop: make(chan struct{}), moved: make(chan struct{})}
}

// recoverOutput takes over from a supervisor that died: what it had put into the
// log and not committed is cut off, and written again from the spool.
func recoverOutput(dir string, q protocol.Create) (*output, error) {
	w, err := spool.Recover(dir)
	if err != nil {
		// Better a new spool than a container without a parent.
		logrus.Errorf("container %s: its output so far cannot be taken over: %v", q.ID, err)
		if w, err = spool.Create(dir, q.Run, q.Tty); err != nil {
			return nil, err
		}
	}
	o := newOutputOn(w, dir, q)
	o.at = w.Committed()
	if lerr := o.openLog(q.Log); lerr != nil {
		logrus.Errorf("container %s: goes on without its log: %v", q.ID, lerr)
	}
	if was := w.Committed(); o.log != nil && err == nil && was.LogInode != 0 {
		if err := o.log.CutBack(was.LogSize, was.LogInode); err != nil {
			logrus.Errorf("container %s: %v", q.ID, err)
		}
	}
	for s := range spool.Stream(spool.Streams) {
		o.forward(s, w.Ended(s))
	}
	return o, nil
}

func (o *output) openLog(l protocol.Log) error {
	if l.Driver == "none" {
		return nil
	}
	var err error
	o.log, err = jsonfile.OpenWriter(l.Path, jsonfile.WriterOptions{
		MaxSizeBytes: l.MaxSizeBytes, MaxFiles: l.MaxFiles, Compress: l.Compress, Attrs: l.Attrs,
	})
	return err
}

// begin starts the pumps. A stream whose source is nil gets nothing: with a
// terminal there is no stderr, and an adopted terminal may come later.
func (o *output) begin(sources [spool.Streams]*os.File, terminal bool) {
	for s, f := range sources {
		if f != nil {
			o.pump(spool.Stream(s), f, !terminal)
		}
	}
}

// resume starts the pump of a terminal that was given back.
func (o *output) resume(tty *os.File) { o.pump(spool.Stdout, tty, false) }

func (o *output) pump(s spool.Stream, f *os.File, isPipe bool) {
	o.mu.Lock()
	o.sources[s] = f
	o.mu.Unlock()
	o.pumps.Add(1)
	go func() {
		defer o.pumps.Done()
		defer func() {
			if p := recover(); p != nil {
				logrus.Errorf("container %s: panic in %s: %v\n%s", o.id, s, p, debug.Stack())
			}
			if isPipe {
				f.Close() // a terminal stays open for input
			}
		}()
		o.run(s, f, isPipe)
	}()
}

// run takes what the container prints until the stream or the container ends.
func (o *output) run(s spool.Stream, f *os.File, isPipe bool) {
	take := o.takeTerminal
	if isPipe {
		take = o.takePipe
	}
	raw, err := f.SyscallConn()
	if err != nil {
		logrus.Errorf("container %s: %s: %v", o.id, s, err)
		return
	}
	drained := 0
	patience := 10 * time.Millisecond
	for {
		var n int
		var terr error
		if o.log == nil {
			o.awaitReader(s)
		}
		ended := o.ended.Load()
		if ended {
			_ = raw.Control(func(fd uintptr) { n, terr = take(s, int(fd)) })
			drained += n
		} else if err := raw.Read(func(fd uintptr) bool {
			n, terr = take(s, int(fd))
			return terr != unix.EAGAIN
		}); errors.Is(err, os.ErrDeadlineExceeded) {
			continue // end has set it, which is seen above
		} else if err != nil {
			terr = err
		}
		switch {
		case n > 0:
			o.process(s, false)
			patience = 10 * time.Millisecond
			if drained < drainMax {
				continue
			}
		case terr == unix.EAGAIN && !ended:
			continue
		case terr == unix.EIO && !isPipe && !ended:
			// Nobody has the terminal open. A process may open it again, of
			// which the poller says nothing.
			patience = o.pause(patience)
			continue
		case terr != nil && terr != unix.EAGAIN && terr != unix.EIO:
			logrus.Errorf("container %s: take %s: %v", o.id, s, terr)
			if !ended { // the exec root is full, mostly: the container waits
				patience = o.pause(patience)
				continue
			}
		}
		o.spool.End(s)
		o.process(s, true)
		return
	}
}

// pause waits for a while that grows, or until the container has ended.
func (o *output) pause(d time.Duration) time.Duration {
	select {
	case <-time.After(d):
	case <-o.stop:
	}
	return min(2*d, time.Second)
}

func (o *output) takePipe(s spool.Stream, fd int) (int, error) { return o.spool.Splice(s, fd, takeMax) }

func (o *output) takeTerminal(s spool.Stream, fd int) (int, error) {
	b := pumpBuffers.Get().(*pumpBuffer)
	defer pumpBuffers.Put(b)
	for {
		n, err := o.copyTerminal(s, fd, b.raw[:])
		if err != unix.EINTR {
			return n, err
		}
	}
}

// copyTerminal moves what fits into buf. An upgrade in between would take away
// with this program what is in neither the terminal nor the spool: it holds ForkLock.
func (o *output) copyTerminal(s spool.Stream, fd int, buf []byte) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	n, err := unix.Read(fd, buf)
	if n <= 0 {
		return 0, err
	}
	return n, o.spool.Write(s, buf[:n])
}

// process brings what is new in the spool into the log and tells the watchers.
func (o *output) process(s spool.Stream, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forward(s, last)
	o.tellWatches()
}

// forward writes the log from the spool: whole lines, pieces of long lines, and
// with last also an unfinished one.
func (o *output) forward(s spool.Stream, last bool) {
	if o.log == nil {
		o.at.Offset[s] = o.spool.Written(s)
		o.commit()
		return
	}
	b := pumpBuffers.Get().(*pumpBuffer)
	defer pumpBuffers.Put(b)
	b.records = b.records[:0]
	next := o.at // becomes the commit when the records are written
	flush := func() bool {
		if len(b.records) > 0 {
			if err := o.log.Write(b.records); err != nil {
				o.logFails(err)
				return false
			}
			b.records = b.records[:0]
			o.logWorks()
		}
		o.at = next
		o.commit()
		return true
	}
	for {
		n, _ := o.spool.ReadAt(s, b.raw[:min(len(b.raw), int(o.spool.Written(s)-next.Offset[s]))], next.Offset[s])
		rest := b.raw[:n]
		for {
			line, whole := cutLine(rest)
			if line == nil {
				if !last || len(rest) == 0 || next.Offset[s]+int64(len(rest)) < o.spool.Written(s) {
					break
				}
				line = rest // the end of the stream ends the line too, but adds no newline
			}
			if o.log.Full(len(b.records)) && !o.rotate(flush) {
				return
			}
			at := time.Now()
			if since := next.PartialSince[s]; since != 0 {
				at = time.Unix(0, since) // the pieces of a line have the time of the first
			}
			b.records = o.log.Append(b.records, s.String(), line, at)
			next.Offset[s] += int64(len(line))
			next.PartialSince[s] = 0
			if !whole {
				next.PartialSince[s] = at.UnixNano()
			}
			rest = rest[len(line):]
		}
		if !flush() {
			return
		}
		if left := o.spool.Written(s) - next.Offset[s]; left == 0 || int64(len(rest)) == left {
			return
		}
	}
}

// cutLine gives the first line of p with its newline; or, where none ends within
// MaxLine, a piece of that size; or nil when more must come first.
func cutLine(p []byte) (line []byte, whole bool) {
	window := p[:min(len(p), jsonfile.MaxLine)]
	if i := bytes.IndexByte(window, '\n'); i >= 0 {
		return p[:i+1], true
	}
	if len(window) == jsonfile.MaxLine {
		return window, false
	}
	return nil, false
}

// rotate begins a new log file between two commits, so that a recovery finds
// either the old file at its committed size or a new one with nothing of worth.
func (o *output) rotate(flush func() bool) bool {
	if !flush() {
		return false
	}
	if err := o.log.Rotate(); err != nil {
		o.logFails(err) // and goes on with the file that there is
		return true
	}
	o.commit()
	return true
}

// commit makes the state of the log the recovery point.
func (o *output) commit() {
	if o.log != nil {
		o.at.LogSize, o.at.LogInode = o.log.Size(), o.log.Inode()
	}
	o.spool.Commit(o.at)
}

// logFails leaves the output in the spool, to be written when the disk has room again.
func (o *output) logFails(err error) {
	if !o.failing {
		logrus.Errorf("container %s: its log cannot be written, output is kept in memory meanwhile: %v", o.id, err)
		o.failing = true
		time.AfterFunc(time.Second, o.retry)
	}
	for s := range spool.Stream(spool.Streams) {
		if written := o.spool.Written(s); written-o.at.Offset[s] > backlogMax {
			o.at.Offset[s] = written - spool.Window/2
		}
	}
	o.commit()
}

func (o *output) logWorks() {
	if o.failing {
		logrus.Errorf("container %s: its log is written again", o.id)
		o.failing = false
	}
}

func (o *output) retry() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.failing || o.closed {
		return
	}
	for s := range spool.Stream(spool.Streams) {
		o.forward(s, o.spool.Ended(s))
	}
	if o.failing {
		time.AfterFunc(time.Second, o.retry)
	} else {
		o.tellWatches()
	}
}

// end takes what is still on its way and returns when all of it is in spool and log.
func (o *output) end() {
	o.ended.Store(true)
	close(o.stop)
	o.mu.Lock()
	for _, f := range o.sources {
		if f != nil {
			_ = f.SetReadDeadline(time.Unix(1, 0))
		}
	}
	o.mu.Unlock()
	o.pumps.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	for s := range spool.Stream(spool.Streams) {
		o.spool.End(s) // also of a terminal that nobody gave back
	}
	o.tellWatches()
}

// close lets go of everything.
func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.dropWatches()
	if o.log != nil {
		if err := o.log.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			logrus.Errorf("container %s: close log: %v", o.id, err)
		}
	}
	o.spool.Close()
}
