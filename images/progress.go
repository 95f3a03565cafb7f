package images

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/moby/moby/api/types/jsonstream"
)

// progress writes messages, one JSON object a line. Several may write at the
// same time. A client that is gone shows in the job's context, not here.
type progress struct {
	mu sync.Mutex
	w  io.Writer
}

func (p *progress) send(m jsonstream.Message) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return
	}
	line := append(bytes.TrimSuffix(buf.Bytes(), []byte("\n")), "\r\n"...)
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.w.Write(line)
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
	done := err == io.EOF
	if (c.told == 0 || done || c.current-c.told >= progressEveryBytes && time.Since(c.at) >= progressEvery) && c.current > c.told {
		c.told, c.at = c.current, time.Now()
		c.p.send(jsonstream.Message{Status: c.status, ID: c.id, Progress: &jsonstream.Progress{Current: c.current, Total: c.total}})
	}
	return n, err
}
