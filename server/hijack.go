package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jobengine/engine/engine"
)

// lingerTime is how long the end of a connection may wait for the client's own
// end. Closing while bytes of the client lie unread would reset the connection,
// and the client could lose output that it has not read yet.
const lingerTime = time.Second

// stuckTime is how often a client is looked for whose input nobody takes.
const stuckTime = time.Second

// hijack is a connection that leaves HTTP when its job opens: output one way,
// standard input the other.
type hijack struct {
	w      *response
	r      *request
	cancel context.CancelFunc // ends the job when the client is gone
	unlink func() bool        // parts the job's context from the request's

	conn   net.Conn
	stdout io.Writer
	stdin  *io.PipeReader
	drain  chan struct{} // closed when nothing more is read from the client
}

// newHijack prepares to take over a request's connection. The job runs with
// the returned context. It ends with that of the request until the connection is
// taken: from then on net/http would end its own at the client's half-close.
func newHijack(w *response, r *request) (*hijack, context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	return &hijack{w: w, r: r, cancel: cancel, unlink: context.AfterFunc(r.Context(), cancel)}, ctx
}

// open takes the connection and answers: 101 to a client that asked for an
// upgrade, 200 to one that did not.
func (h *hijack) open(tty bool) (engine.Streams, error) {
	h.unlink()
	conn, buf, err := h.w.Hijack()
	if err != nil {
		return engine.Streams{}, err
	}
	if _, err := conn.Write(h.head(tty)); err != nil {
		conn.Close()
		return engine.Streams{}, err
	}
	h.conn = conn
	stdout, stderr, _ := multiplex(conn, tty)
	h.stdout = stdout
	pr, pw := io.Pipe()
	h.stdin = pr
	h.drain = make(chan struct{})
	go h.pump(buf.Reader, pw)
	return engine.Streams{Stdin: pr, Stdout: stdout, Stderr: stderr}, nil
}

func (h *hijack) head(tty bool) []byte {
	b := make([]byte, 0, 512)
	if h.r.Header.Get("Upgrade") != "" {
		b = append(b, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: "...)
		b = append(b, streamType(h.r.version, tty)...)
		h.w.status = 101
	} else {
		b = append(b, "HTTP/1.1 200 OK\r\nContent-Type: "...)
		b = append(b, streamType(0, true)...)
		h.w.status = 200
	}
	b = append(b, "\r\n"...)
	for key, values := range h.w.Header() {
		for _, v := range values {
			b = fmt.Appendf(b, "%s: %s\r\n", key, v)
		}
	}
	return append(b, "\r\n"...)
}

// pump hands the client's bytes to the job, those first that the HTTP reader
// had buffered already. The end of the client's bytes is the end of standard
// input and no more than that: output goes on until the client is gone.
func (h *hijack) pump(from *bufio.Reader, to *io.PipeWriter) {
	defer close(h.drain)
	// While nobody takes the input, reading does not tell that the client is gone.
	var stuck *time.Timer
	stuck = time.AfterFunc(time.Hour, func() {
		if hungUp(h.conn) {
			h.cancel()
		} else {
			stuck.Reset(stuckTime)
		}
	})
	stuck.Stop()
	buf := make([]byte, 32<<10)
	var err error
	for err == nil {
		var n int
		n, err = from.Read(buf)
		if n > 0 {
			stuck.Reset(stuckTime)
			to.Write(buf[:n]) // fails once the job has ended: what comes then is thrown away
			stuck.Stop()
		}
	}
	to.Close()
	if err != io.EOF || awaitHangup(h.conn) {
		h.cancel()
	}
}

// finish ends the connection after its job. It returns the error that is still
// to be answered over HTTP, if the job did not get as far as to open.
func (h *hijack) finish(err error) error {
	defer h.cancel()
	if h.conn == nil {
		return err
	}
	defer h.conn.Close()
	if err != nil && !cancelled(err) {
		fmt.Fprintf(h.stdout, "%s\r\n", err)
	}
	h.stdin.CloseWithError(io.EOF)
	if half, ok := h.conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	h.conn.SetReadDeadline(time.Now().Add(lingerTime))
	<-h.drain
	return nil
}
