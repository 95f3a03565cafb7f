package images

import (
	"encoding/json"
	"io"
	"time"

	"github.com/moby/moby/api/types/jsonstream"
)

// progress writes messages to a client, one JSON object a line. It writes in a
// goroutine of its own: a client that does not read holds up nobody but its own
// job, when that is through with what others may wait for.
type progress struct {
	messages chan jsonstream.Message
	written  chan struct{} // closed when all are
}

func newProgress(w io.Writer) *progress {
	p := &progress{make(chan jsonstream.Message, 64), make(chan struct{})}
	go func() {
		defer close(p.written)
		enc := json.NewEncoder(lineEnds{w})
		enc.SetEscapeHTML(false)
		var err error
		for m := range p.messages {
			if err == nil { // a client that is gone shows in the job's context
				err = enc.Encode(struct {
					jsonstream.Message
					Bar string `json:"progress,omitempty"`
				}{m, barText(m.Progress)})
			}
		}
	}()
	return p
}

// lineEnds is written one line at a time, and ends each as Docker does.
type lineEnds struct{ io.Writer }

func (l lineEnds) Write(line []byte) (int, error) {
	out := append(append(make([]byte, 0, len(line)+1), line[:len(line)-1]...), "\r\n"...)
	if _, err := l.Writer.Write(out); err != nil {
		return 0, err
	}
	return len(line), nil
}

// send writes a message; it waits while the client does not read.
func (p *progress) send(m jsonstream.Message) { p.messages <- m }

// offer writes a message unless that would mean waiting.
func (p *progress) offer(m jsonstream.Message) {
	select {
	case p.messages <- m:
	default:
	}
}

// close writes what is left. Nobody sends any more.
func (p *progress) close() {
	close(p.messages)
	<-p.written
}

// The client's eye and its connection want no more than this.
const (
	progressEveryBytes = 512 << 10
	progressEvery      = 50 * time.Millisecond
)

// counted is a reader that tells how far it is.
type counted struct {
	io.ReadCloser
	p             *progress
	status, id    string
	current, told int64
	total         int64
	at            time.Time
}

// reader tells of the progress of r, which has total bytes (0 if unknown).
func (p *progress) reader(r io.ReadCloser, status, id string, total int64) io.ReadCloser {
	return &counted{ReadCloser: r, p: p, status: status, id: id, total: total}
}

func (c *counted) Read(buf []byte) (int, error) {
	n, err := c.ReadCloser.Read(buf)
	c.current += int64(n)
	due := c.told == 0 || err == io.EOF || c.current-c.told >= progressEveryBytes && time.Since(c.at) >= progressEvery
	if due && c.current > c.told {
		c.told, c.at = c.current, time.Now()
		c.p.offer(jsonstream.Message{Status: c.status, ID: c.id, Progress: &jsonstream.Progress{Current: c.current, Total: c.total}})
	}
	return n, err
}
