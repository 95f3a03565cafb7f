package logtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jobengine/engine/logs/driver"
)

// A Driver under test.
type Driver struct {
	Open driver.Open
	// Create begins a log at path. A line without a newline is a piece.
	Create func(path string) (Writer, error)
}

// A Writer adds records to a log.
type Writer interface {
	Write(stream driver.Stream, line string, at time.Time) error
	Close() error
}

// A Row is one promise.
type Row struct {
	Claim string
	Check func(ctx context.Context, d Driver, path string) error
}

// Run tries every promise on a log of its own.
func Run(t *testing.T, d Driver) {
	for _, row := range Rows() {
		t.Run(row.Claim, func(t *testing.T) {
			if err := row.Check(t.Context(), d, filepath.Join(t.TempDir(), "log")); err != nil {
				t.Error(err)
			}
		})
	}
}

// start is the time of the first record that rows write; each later one is a second younger.
var start = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)

func at(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }

// Rows are the promises of driver.Reader.
func Rows() []Row {
	return []Row{
		{"entries come back as they were written", asWritten},
		{"a log that is not there is empty", absent},
		{"the end is told again and again", endStays},
		{"without Follow the end is where it was at Open", snapshot},
		{"pieces of a long line are marked", pieces},
		{"Tail counts lines of both streams, pieces once", tail},
		{"Since and Until include their own moment", sinceUntil},
		{"Since applies to what Tail has left", tailThenSince},
		{"Follow goes on with what is written later, and ends with the writer", follow},
		{"a follow that is interrupted can go on", interrupted},
		{"Until ends a follow", untilEndsFollow},
		{"readers do not disturb one another", readers},
		{"no byte is lost, whatever a line holds", bytesKept},
	}
}

type line struct {
	stream driver.Stream
	text   string
}

func write(d Driver, path string, lines ...line) (Writer, error) {
	w, err := d.Create(path)
	if err != nil {
		return nil, err
	}
	for i, l := range lines {
		if err := w.Write(l.stream, l.text, at(i)); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func read(ctx context.Context, d Driver, path string, o driver.ReadOptions) ([]string, error) {
	r, err := d.Open(path, o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return drain(ctx, r)
}

func drain(ctx context.Context, r driver.Reader) ([]string, error) {
	var got []string
	for {
		e, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		got = append(got, string(e.Line))
	}
}

func same(got []string, err error, want ...string) error {
	if err != nil {
		return err
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("read %q, want %q", got, want)
	}
	return nil
}

func numbered(n int) (lines []line, texts []string) {
	for i := range n {
		text := fmt.Sprintf("line %d\n", i)
		lines, texts = append(lines, line{driver.Stdout, text}), append(texts, text)
	}
	return lines, texts
}

func everything() driver.ReadOptions { return driver.ReadOptions{Tail: -1} }

func asWritten(ctx context.Context, d Driver, path string) error {
	lines := []line{{driver.Stdout, "a\n"}, {driver.Stderr, "b\n"}, {driver.Stdout, "\n"}, {driver.Stdout, "c"}}
	w, err := write(d, path, lines...)
	if err != nil {
		return err
	}
	defer w.Close()
	r, err := d.Open(path, everything())
	if err != nil {
		return err
	}
	defer r.Close()
	for i, want := range lines {
		e, err := r.Next(ctx)
		if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if string(e.Line) != want.text || e.Stream != want.stream || !e.Time.Equal(at(i)) {
			return fmt.Errorf("entry %d is %q of stream %d at %v", i, e.Line, e.Stream, e.Time)
		}
		if e.Time.Location() != time.UTC {
			return fmt.Errorf("entry %d has its time in %v", i, e.Time.Location())
		}
	}
	return nil
}

func absent(ctx context.Context, d Driver, path string) error {
	got, err := read(ctx, d, path, everything())
	return same(got, err)
}

func endStays(ctx context.Context, d Driver, path string) error {
	w, err := write(d, path, line{driver.Stdout, "a\n"})
	if err != nil {
		return err
	}
	defer w.Close()
	r, err := d.Open(path, everything())
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := drain(ctx, r); err != nil {
		return err
	}
	for range 2 {
		if _, err := r.Next(ctx); !errors.Is(err, io.EOF) {
			return fmt.Errorf("after the end: %v", err)
		}
	}
	return nil
}

func snapshot(ctx context.Context, d Driver, path string) error {
	w, err := write(d, path, line{driver.Stdout, "a\n"})
	if err != nil {
		return err
	}
	defer w.Close()
	r, err := d.Open(path, everything())
	if err != nil {
		return err
	}
	defer r.Close()
	if err := w.Write(driver.Stdout, "later\n", at(9)); err != nil {
		return err
	}
	got, err := drain(ctx, r)
	return same(got, err, "a\n")
}

func pieces(ctx context.Context, d Driver, path string) error {
	w, err := write(d, path, line{driver.Stdout, "be"}, line{driver.Stderr, "x\n"}, line{driver.Stdout, "gin\n"})
	if err != nil {
		return err
	}
	defer w.Close()
	r, err := d.Open(path, everything())
	if err != nil {
		return err
	}
	defer r.Close()
	for i, want := range []bool{true, false, false} {
		e, err := r.Next(ctx)
		if err != nil {
			return err
		}
		if e.Partial != want {
			return fmt.Errorf("entry %d: Partial is %v", i, e.Partial)
		}
	}
	return nil
}

func tail(ctx context.Context, d Driver, path string) error {
	w, err := write(d, path, line{driver.Stdout, "a\n"}, line{driver.Stderr, "b\n"},
		line{driver.Stdout, "c1"}, line{driver.Stdout, "c2\n"}, line{driver.Stdout, "d"})
	if err != nil {
		return err
	}
	defer w.Close()
	for n, want := range [][]string{{}, {"d"}, {"c1", "c2\n", "d"}, {"b\n", "c1", "c2\n", "d"}, {"a\n", "b\n", "c1", "c2\n", "d"}, {"a\n", "b\n", "c1", "c2\n", "d"}} {
		got, err := read(ctx, d, path, driver.ReadOptions{Tail: n})
		if err := same(got, err, want...); err != nil {
			return fmt.Errorf("tail %d: %w", n, err)
		}
	}
	return nil
}

func sinceUntil(ctx context.Context, d Driver, path string) error {
	lines, texts := numbered(50)
	w, err := write(d, path, lines...)
	if err != nil {
		return err
	}
	defer w.Close()
	got, err := read(ctx, d, path, driver.ReadOptions{Tail: -1, Since: at(20), Until: at(30)})
	if err := same(got, err, texts[20:31]...); err != nil {
		return err
	}
	got, err = read(ctx, d, path, driver.ReadOptions{Tail: -1, Since: at(20).Add(1), Until: at(30).Add(-1)})
	return same(got, err, texts[21:30]...)
}

func tailThenSince(ctx context.Context, d Driver, path string) error {
	lines, texts := numbered(50)
	w, err := write(d, path, lines...)
	if err != nil {
		return err
	}
	defer w.Close()
	got, err := read(ctx, d, path, driver.ReadOptions{Tail: 10, Since: at(45)})
	if err := same(got, err, texts[45:]...); err != nil {
		return err
	}
	got, err = read(ctx, d, path, driver.ReadOptions{Tail: 10, Since: at(20)})
	return same(got, err, texts[40:]...)
}

// script is a follower that does something at each Wait, and then tells the end.
type script []func() error

func (s *script) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(*s) == 0 {
		return io.EOF
	}
	do := (*s)[0]
	*s = (*s)[1:]
	return do()
}

func (*script) Committed() driver.Position { return driver.Position{} }

func follow(ctx context.Context, d Driver, path string) error {
	w, err := write(d, path, line{driver.Stdout, "old\n"}, line{driver.Stdout, "a\n"})
	if err != nil {
		return err
	}
	defer w.Close()
	nothing := func() error { return nil }
	s := script{
		nothing,
		func() error { return w.Write(driver.Stdout, "b\n", at(2)) },
		nothing,
		func() error {
			return errors.Join(w.Write(driver.Stderr, "c\n", at(3)), w.Write(driver.Stdout, "d\n", at(4)))
		},
	}
	got, err := read(ctx, d, path, driver.ReadOptions{Tail: 1, Follow: &s})
	return same(got, err, "a\n", "b\n", "c\n", "d\n")
}

// patient waits for the context.
type patient struct{}

func (patient) Wait(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (patient) Committed() driver.Position     { return driver.Position{} }

func interrupted(ctx context.Context, d Driver, path string) error {
	w, err := write(d, path)
	if err != nil {
		return err
	}
	defer w.Close()
	r, err := d.Open(path, driver.ReadOptions{Tail: -1, Follow: patient{}})
	if err != nil {
		return err
	}
	defer r.Close()
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := r.Next(over); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("interrupted: %v", err)
	}
	if err := w.Write(driver.Stdout, "a\n", at(0)); err != nil {
		return err
	}
	e, err := r.Next(ctx)
	if err != nil {
		return err
	}
	return same([]string{string(e.Line)}, nil, "a\n")
}

func untilEndsFollow(ctx context.Context, d Driver, path string) error {
	w, err := write(d, path, line{driver.Stdout, "a\n"})
	if err != nil {
		return err
	}
	defer w.Close()
	got, err := read(ctx, d, path, driver.ReadOptions{Tail: -1, Until: time.Now().Add(10 * time.Millisecond), Follow: patient{}})
	return same(got, err, "a\n")
}

func readers(ctx context.Context, d Driver, path string) error {
	lines, texts := numbered(20)
	w, err := write(d, path, lines...)
	if err != nil {
		return err
	}
	defer w.Close()
	first, err := d.Open(path, everything())
	if err != nil {
		return err
	}
	defer first.Close()
	if _, err := first.Next(ctx); err != nil {
		return err
	}
	got, err := read(ctx, d, path, everything())
	if err := same(got, err, texts...); err != nil {
		return err
	}
	got, err = drain(ctx, first)
	return same(got, err, texts[1:]...)
}

func bytesKept(ctx context.Context, d Driver, path string) error {
	texts := []string{"\x00\x01\x1b[31m \t\r\n", "\"\\\\n\" </script>\n", "ü😀\u2028\u2029\ufffd\n", `{"log":"x\n","stream":"stderr","time":"2020-01-01T00:00:00Z"}` + "\n"}
	var lines []line
	for _, text := range texts {
		lines = append(lines, line{driver.Stdout, text})
	}
	w, err := write(d, path, lines...)
	if err != nil {
		return err
	}
	defer w.Close()
	got, err := read(ctx, d, path, everything())
	return same(got, err, texts...)
}
