package logtest

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/logs/driver"
)

// memory is a log driver that keeps logs in memory, whole or with a fault.
type memory struct {
	mu    sync.Mutex
	logs  map[string][]driver.Entry
	fault string
}

func (m *memory) driver() Driver {
	return Driver{Open: m.open, Create: func(path string) (Writer, error) { return memoryWriter{m, path}, nil }}
}

type memoryWriter struct {
	m    *memory
	path string
}

func (w memoryWriter) Write(s driver.Stream, line string, at time.Time) error {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if w.m.logs == nil {
		w.m.logs = map[string][]driver.Entry{}
	}
	e := driver.Entry{Line: []byte(line), Stream: s, Time: at, Partial: line[len(line)-1] != '\n'}
	switch w.m.fault {
	case "cuts at NUL":
		if e.Line[0] == 0 {
			e.Line = e.Line[:0]
		}
	case "one stream":
		e.Stream = driver.Stdout
	case "marks nothing":
		e.Partial = false
	case "local time":
		e.Time = e.Time.In(time.FixedZone("", 3600))
	}
	w.m.logs[w.path] = append(w.m.logs[w.path], e)
	return nil
}

func (memoryWriter) Close() error { return nil }

type memoryReader struct {
	m          *memory
	path       string
	o          driver.ReadOptions
	pos, end   int
	over       bool
	toldTheEnd bool
}

func (m *memory) entries(path string) []driver.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.logs[path]
}

func (m *memory) open(path string, o driver.ReadOptions) (driver.Reader, error) {
	entries := m.entries(path)
	if entries == nil && m.fault == "insists on a log" {
		return nil, errors.New("no log")
	}
	if m.fault == "ignores until" {
		o.Until = time.Time{}
	}
	if m.fault == "since excludes" && !o.Since.IsZero() {
		o.Since = o.Since.Add(1)
	}
	if m.fault == "ignores follow" {
		o.Follow = nil
	}
	r := &memoryReader{m: m, path: path, o: o, end: len(entries)}
	if o.Tail >= 0 {
		r.pos = r.end
		if m.fault == "since before tail" {
			for r.end > 0 && entries[r.end-1].Time.Before(o.Since) {
				r.end--
			}
			r.pos = r.end
		}
		if m.fault == "tail counts records" {
			r.pos = max(0, r.end-o.Tail)
		} else {
			for lines := 0; r.pos > 0; r.pos-- {
				e := entries[r.pos-1]
				if !e.Partial || r.pos == r.end {
					if lines == o.Tail {
						break
					}
					lines++
				}
			}
		}
	}
	if m.fault == "since before tail" && !o.Since.IsZero() {
		r.pos = max(0, r.pos-5)
	}
	return r, nil
}

func (r *memoryReader) Next(ctx context.Context) (*driver.Entry, error) {
	for {
		entries := r.m.entries(r.path)
		limit := r.end
		if r.o.Follow != nil || r.m.fault == "no snapshot" {
			limit = len(entries)
		}
		if r.toldTheEnd && r.m.fault == "starts again" {
			r.pos, r.toldTheEnd = 0, false
		}
		if r.pos < limit && !r.toldTheEnd {
			e := &entries[r.pos]
			r.pos++
			if e.Time.Before(r.o.Since) && r.m.fault != "since before tail" {
				continue
			}
			if !r.o.Until.IsZero() && e.Time.After(r.o.Until) {
				return nil, io.EOF
			}
			return e, nil
		}
		if r.o.Follow == nil || r.over {
			r.toldTheEnd = true
			return nil, io.EOF
		}
		if r.m.fault == "gives up when interrupted" && ctx.Err() != nil {
			r.over = true
			r.toldTheEnd = true
			return nil, ctx.Err()
		}
		limited, cancel := ctx, context.CancelFunc(func() {})
		if !r.o.Until.IsZero() {
			limited, cancel = context.WithDeadline(ctx, r.o.Until)
		}
		err := r.o.Follow.Wait(limited)
		cancel()
		if errors.Is(err, io.EOF) || (ctx.Err() == nil && limited.Err() != nil) {
			r.over = r.m.fault != "loses the last"
			if !r.over {
				return nil, io.EOF
			}
		} else if err != nil {
			return nil, err
		}
		if r.m.fault == "loses the last" {
			r.pos = len(r.m.entries(r.path))
		}
	}
}

func (r *memoryReader) Close() error { return nil }

func TestASoundDriverPasses(t *testing.T) {
	Run(t, (&memory{}).driver())
}

func TestEachFaultIsFound(t *testing.T) {
	for _, fault := range []string{
		"cuts at NUL", "one stream", "marks nothing", "local time", "insists on a log", "ignores until", "since excludes",
		"ignores follow", "tail counts records", "no snapshot", "starts again", "gives up when interrupted", "loses the last", "since before tail",
	} {
		t.Run(fault, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // a follow that never ends is a fault too
			defer cancel()
			found := false
			for _, row := range Rows() {
				m := &memory{fault: fault}
				if row.Claim == "Until ends a follow" && fault == "ignores until" {
					continue // found by another row, without the wait
				}
				if err := row.Check(ctx, m.driver(), filepath.Join("/", row.Claim)); err != nil {
					found = true
				}
			}
			assert.Assert(t, found)
		})
	}
}
