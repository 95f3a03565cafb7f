package server

import (
	"encoding/binary"
	"io"
	"sync"
)

// The streams of a framed connection.
const (
	frameStdout    = 1
	frameStderr    = 2
	frameSystemErr = 3 // clients report it as an error and stop
)

// frameHeader is one byte for the stream, three zeros, and the length.
const frameHeader = 8

// frames lets several streams share one writer: each write becomes one frame.
type frames struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
}

// stream is the writer of one of the streams.
func (f *frames) stream(id byte) io.Writer { return &frameWriter{f, id} }

type frameWriter struct {
	*frames
	id byte
}

func (f *frameWriter) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// Header and content in one write, so that nobody sees half a frame.
	f.buf = append(f.buf[:0], f.id, 0, 0, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(f.buf[4:], uint32(len(p)))
	f.buf = append(f.buf, p...)
	n, err := f.w.Write(f.buf)
	return max(n-frameHeader, 0), err
}

// multiplex gives the output streams of a job: both as they are with a
// terminal, which has only one, else framed.
func multiplex(w io.Writer, tty bool) (stdout, stderr, system io.Writer) {
	if tty {
		return w, w, w
	}
	f := &frames{w: w}
	return f.stream(frameStdout), f.stream(frameStderr), f.stream(frameSystemErr)
}

// streamType is the content type of a stream. The framed one has had a name of
// its own since 1.42.
func streamType(v apiVersion, tty bool) string {
	if tty || v.before(42) {
		return "application/vnd.docker.raw-stream"
	}
	return "application/vnd.docker.multiplexed-stream"
}
