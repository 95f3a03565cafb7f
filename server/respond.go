package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// response is an http.ResponseWriter that knows what it has done.
type response struct {
	http.ResponseWriter
	status   int
	began    bool
	hijacked net.Conn // the connection, once HTTP has no say in it
}

func (w *response) WriteHeader(code int) {
	w.began, w.status = true, code
	w.ResponseWriter.WriteHeader(code)
}

func (w *response) Write(p []byte) (int, error) {
	if !w.began {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Flush sends what was written so far, the headers at least.
func (w *response) Flush() {
	if !w.began {
		w.WriteHeader(http.StatusOK)
	}
	http.NewResponseController(w.ResponseWriter).Flush()
}

// fullDuplex lets a job read the request's body after its answer has begun;
// net/http would throw the rest of it away. The connection serves no further
// request: with Go 1.26 the next one was seen to be reset when the job had left
// some of the body unread. The handler defers what is returned, so that the end
// does not wait for a client that keeps its body open.
func (w *response) fullDuplex(r *request) (end func()) {
	if r.ContentLength == 0 {
		return func() {}
	}
	if strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		w.ResponseWriter.WriteHeader(http.StatusContinue) // or a client that waits for it would send nothing
	}
	conn := http.NewResponseController(w.ResponseWriter)
	conn.EnableFullDuplex() // not supported by recorders of tests only
	w.Header().Set("Connection", "close")
	return func() { conn.SetReadDeadline(time.Now().Add(lingerTime)) }
}

// Hijack takes the connection away from HTTP.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.began, w.hijacked = true, conn
	}
	return conn, buf, err
}

func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// errorBody is the shape of every error.
type errorBody struct {
	Message string `json:"message"`
}

// writeJSON answers with v as JSON, without HTML escaping and with a final newline.
func writeJSON(w *response, code int, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(buf.Len()))
	w.WriteHeader(code)
	w.Write(buf.Bytes()) // a client that did not stay for the answer is nobody's error
	return nil
}

// noContent answers with a status and no body.
func noContent(w *response, code int) error {
	w.WriteHeader(code)
	return nil
}

// list makes an empty list of a nil one: clients do not expect null.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// writeTail ends an answer that has begun with a JSON value.
func writeTail(w *response, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(v) // as above
	return nil
}
