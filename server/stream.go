package server

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/jobengine/engine/engine"
)

// flusher sends every write at once.
type flusher struct{ w *response }

func (f flusher) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		f.w.Flush()
	}
	return n, err
}

// openStream begins a streaming answer: status and headers leave at once, every
// write of the job's is sent as it is made.
func openStream(w *response, contentType string) flusher {
	w.Header().Set("Content-Type", contentType)
	w.Flush()
	return flusher{w}
}

// openProgress begins a stream of progress messages.
func openProgress(w *response) (engine.Streams, error) {
	return engine.Streams{Stdout: openStream(w, "application/json")}, nil
}

// progressError is the last message of progress that failed; clients before
// 1.48 read the second field.
type progressError struct {
	Detail struct {
		Code    int    `json:"code,omitempty"`
		Message string `json:"message"`
	} `json:"errorDetail"`
	Error string `json:"error"`
}

// endProgress tells a failure in the stream, if the stream has begun. What is
// left to answer over HTTP comes back.
func endProgress(w *response, err error) error {
	if err == nil || !w.began {
		return err
	}
	var msg progressError
	msg.Detail.Message, msg.Error = err.Error(), err.Error()
	line, _ := json.Marshal(msg)
	flusher{w}.Write(append(line, "\r\n"...))
	return nil
}

// lines calls each for every whole line that is written to it.
type lines struct {
	each func(line []byte) error
	rest []byte
}

var _ io.Writer = (*lines)(nil)

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.rest = append(l.rest, p...)
			return n, nil
		}
		line := p[:i]
		if len(l.rest) > 0 {
			line = append(l.rest, line...)
			l.rest = nil
		}
		if err := l.each(line); err != nil {
			return 0, err
		}
		p = p[i+1:]
	}
}
