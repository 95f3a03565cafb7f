package jsonfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/logs/driver"
)

var epoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// writeLog writes lines, a second apart; one that begins with "E" is stderr's,
// one that ends with "…" is a piece of a longer line.
func writeLog(t *testing.T, w *Writer, from int, lines ...string) {
	t.Helper()
	var buf []byte
	for i, line := range lines {
		stream := "stdout"
		if strings.HasPrefix(line, "E") {
			stream = "stderr"
		}
		whole, piece := strings.CutSuffix(line, "…")
		if !piece {
			whole += "\n"
		}
		buf = w.Append(buf, stream, []byte(whole), epoch.Add(time.Duration(from+i)*time.Second))
	}
	assert.NilError(t, w.Write(buf))
}

func newLog(t *testing.T, o WriterOptions) (string, *Writer) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x-json.log")
	w, err := OpenWriter(path, o)
	assert.NilError(t, err)
	t.Cleanup(func() { w.Close() })
	return path, w
}

// readLog reads to the end and gives the lines, pieces marked as by writeLog.
func readLog(t *testing.T, path string, o driver.ReadOptions) []string {
	t.Helper()
	r, err := Open(path, o)
	assert.NilError(t, err)
	defer r.Close()
	lines := []string{}
	for {
		e, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			_, again := r.Next(t.Context())
			assert.Assert(t, errors.Is(again, io.EOF))
			return lines
		}
		assert.NilError(t, err)
		text := string(e.Line)
		if e.Partial {
			text += "…\n"
		}
		lines = append(lines, strings.TrimSuffix(text, "\n"))
	}
}

func all() driver.ReadOptions { return driver.ReadOptions{Tail: -1} }

func TestReadGivesWhatWasWritten(t *testing.T) {
	path, w := newLog(t, WriterOptions{Attrs: map[string]string{"env": "prod", "a\"b": `c","time":"x`}})
	raw := "tab\t quote\" back\\ <&> ü 😀 \u2028 \x01 \x7f"
	assert.NilError(t, w.Write(w.Append(nil, "stderr", []byte(raw+"\n"), epoch.Add(5))))
	r, err := Open(path, all())
	assert.NilError(t, err)
	defer r.Close()
	e, err := r.Next(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, string(e.Line), raw+"\n")
	assert.Equal(t, e.Stream, driver.Stderr)
	assert.Assert(t, e.Time.Equal(epoch.Add(5)))
	assert.DeepEqual(t, e.Attrs, map[string]string{"env": "prod", "a\"b": `c","time":"x`})
	assert.Assert(t, !e.Partial)
}

func TestReadOfALogThatIsNotThereIsEmpty(t *testing.T) {
	assert.Equal(t, len(readLog(t, filepath.Join(t.TempDir(), "none"), all())), 0)
}

func TestTailCountsLines(t *testing.T) {
	log := []string{"a", "Eb", "c1…", "c2…", "Ed", "c3", "e", "f1…"}
	for n, want := range map[int][]string{
		0: {}, 1: {"f1…"}, 2: {"e", "f1…"},
		3: {"c3", "e", "f1…"}, // c's other pieces stand before Ed, which is the fourth line from the end
		4: {"c1…", "c2…", "Ed", "c3", "e", "f1…"},
		5: {"Eb", "c1…", "c2…", "Ed", "c3", "e", "f1…"},
		6: log, 7: log, 1000: log, -1: log,
	} {
		path, w := newLog(t, WriterOptions{})
		writeLog(t, w, 0, log...)
		got := readLog(t, path, driver.ReadOptions{Tail: n})
		assert.DeepEqual(t, got, want)
	}
}

func TestTailReachesIntoRotatedFiles(t *testing.T) {
	for _, compress := range []bool{false, true} {
		path, w := newLog(t, WriterOptions{MaxFiles: 5, Compress: compress})
		var want []string
		for i := range 40 {
			line := fmt.Sprintf("line %d", i)
			want = append(want, line)
			writeLog(t, w, i, line)
			if i%10 == 9 && i < 39 {
				assert.NilError(t, w.Rotate())
			}
		}
		w.settle()
		for n := range 42 {
			from := max(0, 40-n)
			assert.DeepEqual(t, readLog(t, path, driver.ReadOptions{Tail: n}), append([]string{}, want[from:]...))
		}
		assert.DeepEqual(t, readLog(t, path, all()), want)
	}
}

func TestSinceAndUntilAreInclusive(t *testing.T) {
	path, w := newLog(t, WriterOptions{MaxFiles: 5})
	var want []string
	pad := strings.Repeat("x", 5000) // so that halving has something to halve
	for i := range 100 {
		line := fmt.Sprintf("%d%s", i, pad)
		want = append(want, line)
		writeLog(t, w, i, line)
		if i == 20 {
			assert.NilError(t, w.Rotate())
		}
	}
	for _, from := range []int{0, 1, 19, 20, 21, 22, 50, 98, 99} {
		for _, to := range []int{0, 20, 21, 60, 99} {
			got := readLog(t, path, driver.ReadOptions{Tail: -1,
				Since: epoch.Add(time.Duration(from) * time.Second), Until: epoch.Add(time.Duration(to) * time.Second)})
			assert.DeepEqual(t, got, append([]string{}, want[from:max(from, to+1)]...))
		}
	}
	assert.Equal(t, len(readLog(t, path, driver.ReadOptions{Tail: -1, Since: epoch.Add(time.Hour)})), 0)
	assert.Equal(t, len(readLog(t, path, driver.ReadOptions{Tail: 3, Since: epoch.Add(98 * time.Second)})), 2)
}

func TestSinceDoesNotReadTheWholeFile(t *testing.T) {
	path, w := newLog(t, WriterOptions{})
	for i := range 2000 {
		writeLog(t, w, i, strings.Repeat("y", 1000))
	}
	files, err := openChain(path)
	assert.NilError(t, err)
	defer closeAll(files)
	assert.NilError(t, files[0].seekTime(epoch.Add(1990*time.Second)))
	assert.Assert(t, files[0].limit-files[0].off < 2*blockSize, "begins %d bytes before the end", files[0].limit-files[0].off)
}

func TestDamageIsLeftOut(t *testing.T) {
	path, w := newLog(t, WriterOptions{})
	writeLog(t, w, 0, "a")
	for _, junk := range []string{
		"garbage\n", "\x00\x00\x00\n", `{"log":"torn` + "\n", "{}\n", `{"log":"x\n","stream":"stdin","time":"2026-11-20T12:00:00Z"}` + "\n",
		`{"log":"x\n","stream":"stdout","time":"soon"}` + "\n", `{"log":"\q","stream":"stdout","time":"2026-11-20T12:00:00Z"}` + "\n", "\n",
	} {
		assert.NilError(t, w.Write([]byte(junk)))
		writeLog(t, w, 1, "b")
	}
	assert.NilError(t, w.Write(bytes.Repeat([]byte("z"), 3<<20)))
	assert.NilError(t, w.Write([]byte("\n")))
	writeLog(t, w, 1, "c")
	assert.NilError(t, w.Write([]byte(`{"log":"not yet whole`)))
	want := append(append([]string{"a"}, strings.Split(strings.Repeat("b", 8), "")...), "c")
	assert.DeepEqual(t, readLog(t, path, all()), want)
	assert.DeepEqual(t, readLog(t, path, driver.ReadOptions{Tail: 3}), []string{"b", "b", "c"})
	assert.DeepEqual(t, readLog(t, path, driver.ReadOptions{Tail: 100}), want)
}

func TestDamagedCompressedFileEndsEarly(t *testing.T) {
	path, w := newLog(t, WriterOptions{})
	writeLog(t, w, 9, "new")
	assert.NilError(t, os.WriteFile(path+".1.gz", []byte("no gzip"), 0o600))
	assert.DeepEqual(t, readLog(t, path, all()), []string{"new"})
	assert.DeepEqual(t, readLog(t, path, driver.ReadOptions{Tail: 5}), []string{"new"})
}

func TestRecordsInAnyJSONAreRead(t *testing.T) {
	path, w := newLog(t, WriterOptions{})
	assert.NilError(t, w.Write([]byte(`{"time":"2026-11-20T13:00:00+01:00", "stream":"stderr","log":"hi\n","extra":[1]}`+"\n")))
	r, err := Open(path, all())
	assert.NilError(t, err)
	defer r.Close()
	e, err := r.Next(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, string(e.Line), "hi\n")
	assert.Assert(t, e.Time.Equal(epoch))
	assert.Equal(t, e.Time.Location(), time.UTC)
}

// steps is a follower: each Wait does one step of the writer's.
type steps struct {
	do []func()
	at func() driver.Position
}

func (s *steps) Wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(s.do) == 0 {
		return io.EOF
	}
	s.do[0]()
	s.do = s.do[1:]
	return nil
}

func (s *steps) Committed() driver.Position {
	if s.at == nil {
		return driver.Position{}
	}
	return s.at()
}

func TestFollowGoesOnAcrossRotations(t *testing.T) {
	for _, o := range []WriterOptions{{MaxFiles: 4}, {MaxFiles: 4, Compress: true}, {MaxFiles: 1}} {
		path, w := newLog(t, o)
		n := 0
		var want []string
		write := func() {
			line := fmt.Sprintf("line %d", n)
			want = append(want, line)
			writeLog(t, w, n, line)
			n++
		}
		rotate := func() { assert.NilError(t, w.Rotate()) }
		write()
		write()
		s := &steps{do: []func(){
			write,
			func() { write(); rotate() },
			write,
			func() { rotate(); write() },
			rotate, rotate, write,
			func() { write(); rotate(); write() },
			func() {},
			func() { write(); write() },
		}}
		if o.MaxFiles > 1 { // with one file two rotations at once do lose
			s.do = append(s.do, func() {
				write()
				rotate()
				write()
				rotate()
				write()
				rotate()
				write()
				w.settle()
			})
		}
		got := readLog(t, path, driver.ReadOptions{Tail: -1, Follow: s})
		assert.DeepEqual(t, got, want)
	}
}

func TestFollowReadsOnlyWhatIsCommitted(t *testing.T) {
	path, w := newLog(t, WriterOptions{})
	writeLog(t, w, 0, "a", "b")
	committed := w.Size()
	inode := w.Inode()
	writeLog(t, w, 1, "lost")
	s := &steps{at: func() driver.Position { return driver.Position{File: inode, Offset: committed} }, do: []func(){
		func() {},
		func() {
			assert.NilError(t, w.CutBack(committed, inode))
			writeLog(t, w, 2, "kept and longer")
			committed = w.Size()
		},
	}}
	assert.DeepEqual(t, readLog(t, path, driver.ReadOptions{Tail: 1, Follow: s}), []string{"b", "kept and longer"})
}

func TestFollowWaitsForTheFirstCommitOfANewFile(t *testing.T) {
	path, w := newLog(t, WriterOptions{MaxFiles: 3})
	writeLog(t, w, 0, "a")
	at := driver.Position{File: w.Inode(), Offset: w.Size()}
	assert.NilError(t, w.Rotate())
	writeLog(t, w, 1, "b")
	writeLog(t, w, 2, "c")
	seen := 0
	s := &steps{at: func() driver.Position { return at }, do: []func(){
		func() { seen++ },
		func() { at = driver.Position{File: w.Inode(), Offset: w.Size()} },
	}}
	assert.DeepEqual(t, readLog(t, path, driver.ReadOptions{Tail: -1, Follow: s}), []string{"a", "b", "c"})
	assert.Equal(t, seen, 1)
}

func TestFromBeginsAtAPositionAlsoAfterARotation(t *testing.T) {
	path, w := newLog(t, WriterOptions{MaxFiles: 3})
	writeLog(t, w, 0, "a", "b")
	at := driver.Position{File: w.Inode(), Offset: w.Size()}
	writeLog(t, w, 1, "c")
	assert.DeepEqual(t, readLog(t, path, driver.ReadOptions{Tail: -1, From: at}), []string{"c"})
	assert.NilError(t, w.Rotate())
	writeLog(t, w, 2, "d")
	assert.DeepEqual(t, readLog(t, path, driver.ReadOptions{Tail: -1, From: at}), []string{"c", "d"})
	assert.DeepEqual(t, readLog(t, path, driver.ReadOptions{Tail: 5, From: at}), []string{"c", "d"})
	assert.NilError(t, w.Rotate())
	assert.NilError(t, w.Rotate())
	_, err := Open(path, driver.ReadOptions{From: at})
	assert.Assert(t, errors.Is(err, driver.ErrGone))
}

func TestFollowWaitsForTheFirstFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x-json.log")
	s := &steps{do: []func(){
		func() {},
		func() {
			w, err := OpenWriter(path, WriterOptions{})
			assert.NilError(t, err)
			writeLog(t, w, 0, "first")
			w.Close()
		},
	}}
	assert.DeepEqual(t, readLog(t, path, driver.ReadOptions{Tail: 0, Follow: s}), []string{"first"})
}

type blocked struct{}

func (blocked) Wait(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (blocked) Committed() driver.Position     { return driver.Position{} }

func TestUntilEndsAFollow(t *testing.T) {
	path, w := newLog(t, WriterOptions{})
	writeLog(t, w, 0, "a")
	until := time.Now().Add(20 * time.Millisecond)
	got := readLog(t, path, driver.ReadOptions{Tail: -1, Until: until, Follow: blocked{}})
	assert.DeepEqual(t, got, []string{"a"})
	assert.Assert(t, !time.Now().Before(until))
}

func TestAContextInterruptsAFollowThatCanGoOn(t *testing.T) {
	path, w := newLog(t, WriterOptions{})
	r, err := Open(path, driver.ReadOptions{Tail: -1, Follow: blocked{}})
	assert.NilError(t, err)
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Next(ctx)
	assert.Assert(t, errors.Is(err, context.Canceled))
	writeLog(t, w, 0, "a")
	e, err := r.Next(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, string(e.Line), "a\n")
}

func FuzzDecodeAgreesWithEncodingJSON(f *testing.F) {
	f.Add([]byte(`{"log":"a\u0009b\n","stream":"stdout","time":"2026-11-20T12:00:00.5Z"}`))
	f.Add([]byte(`{"log":"\ud83d\ude00 \ud800","stream":"stderr","attrs":{"a":"b"},"time":"2026-11-20T12:00:00+01:00"}`))
	f.Add([]byte(`{"log":"","stream":"stdout","attrs":null,"time":"2026-11-20T12:00:00Z"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var fast, slow decoder
		var a, b driver.Entry
		if !fast.decodeUsual(raw, &a) {
			return
		}
		if !slow.decodeAny(raw, &b) {
			return // the fast one is more tolerant of what no writer writes
		}
		if !bytes.ContainsRune(a.Line, '\ufffd') && !bytes.ContainsRune(b.Line, '\ufffd') {
			assert.Equal(t, string(a.Line), string(b.Line))
		}
		assert.Equal(t, a.Stream, b.Stream)
		assert.Assert(t, a.Time.Equal(b.Time))
	})
}

func FuzzWhatIsWrittenIsRead(f *testing.F) {
	f.Add([]byte("a\tb\x00\xff\"\\<>&\u2028"), int64(5))
	f.Fuzz(func(t *testing.T, line []byte, nanos int64) {
		at := time.Unix(1790000000, 0).Add(time.Duration(uint64(nanos) % (1 << 60)))
		raw := appendRecord(nil, "stdout", line, nil, at)
		var d decoder
		var e driver.Entry
		assert.Assert(t, d.decodeUsual(bytes.TrimSuffix(raw, []byte("\n")), &e))
		var want []byte // each byte that is not UTF-8 becomes one replacement character
		for _, r := range string(line) {
			want = utf8.AppendRune(want, r)
		}
		assert.Equal(t, string(e.Line), string(want))
		assert.Assert(t, e.Time.Equal(at))
		if !utf8.Valid(line) {
			assert.Assert(t, bytes.Equal(e.Raw, line))
		} else {
			assert.Assert(t, e.Raw == nil)
		}
		var slow decoder
		assert.Assert(t, slow.decodeAny(bytes.TrimSuffix(raw, []byte("\n")), &e))
		assert.Equal(t, utf8.Valid(line), e.Raw == nil)
	})
}

func BenchmarkRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "x-json.log")
	w, err := OpenWriter(path, WriterOptions{})
	assert.NilError(b, err)
	defer w.Close()
	var buf []byte
	for i := range 100_000 {
		buf = w.Append(buf, "stdout", fmt.Appendf(nil, "2026/11/20 12:00:00 request %d of a usual length, answered \"200 OK\"\n", i), epoch.Add(time.Duration(i)*time.Millisecond))
	}
	assert.NilError(b, w.Write(buf))
	read := func(b *testing.B, o driver.ReadOptions) {
		for b.Loop() {
			r, err := Open(path, o)
			assert.NilError(b, err)
			for {
				if _, err := r.Next(b.Context()); err != nil {
					break
				}
			}
			r.Close()
		}
	}
	b.Run("all", func(b *testing.B) { b.SetBytes(w.Size()); read(b, all()) })
	b.Run("tail10", func(b *testing.B) { read(b, driver.ReadOptions{Tail: 10}) })
	b.Run("since", func(b *testing.B) { read(b, driver.ReadOptions{Tail: -1, Since: epoch.Add(99_990 * time.Millisecond)}) })
}

// A reader that copies in step with the commits must not believe for ever that
// it lags, when the container and its log were removed while it was reading.
func TestFollowOfARemovedLogKnowsItsLastCommit(t *testing.T) {
	path, w := newLog(t, WriterOptions{})
	writeLog(t, w, 0, "a")
	size := w.Size()
	var told int64
	s := &steps{
		at: func() driver.Position { told = size; return driver.Position{File: w.Inode(), Offset: size} },
		do: []func(){
			func() {
				writeLog(t, w, 1, "b")
				size = w.Size()
				assert.NilError(t, os.Remove(path))
			},
			func() { assert.Equal(t, told, size, "asked after the last record was read") },
		},
	}
	assert.DeepEqual(t, readLog(t, path, driver.ReadOptions{Tail: -1, Follow: s}), []string{"a", "b"})
}
