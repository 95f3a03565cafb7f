package jsonfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"gotest.tools/v3/assert"
)

// TestRecordIsDockers compares with lines that dockerd 20.10 wrote.
func TestRecordIsDockers(t *testing.T) {
	at := time.Date(2026, 11, 20, 17, 4, 5, 60, time.FixedZone("x", 3600))
	for _, c := range []struct {
		line  string
		attrs string
		want  string
	}{
		{"hello\n", "", `{"log":"hello\n","stream":"stdout","time":"2026-11-20T16:04:05.00000006Z"}`},
		{"no end", "", `{"log":"no end","stream":"stdout","time":"2026-11-20T16:04:05.00000006Z"}`},
		{"\n", "", `{"log":"\n","stream":"stdout","time":"2026-11-20T16:04:05.00000006Z"}`},
		{"a\tb\r\x1b[0m\x00\n", "", `{"log":"a\u0009b\r\u001b[0m\u0000\n","stream":"stdout","time":"2026-11-20T16:04:05.00000006Z"}`},
		{`<a href="x">\&` + "\n", "", `{"log":"\u003ca href=\"x\"\u003e\\\u0026\n","stream":"stdout","time":"2026-11-20T16:04:05.00000006Z"}`},
		{"é\u2028\u2029\xff\xc3\n", "", `{"log":"é\u2028\u2029\ufffd\ufffd\n","stream":"stdout","raw":"w6nigKjigKn/wwo=","time":"2026-11-20T16:04:05.00000006Z"}`},
		{"x\n", `{"tag":"t"}`, `{"log":"x\n","stream":"stdout","attrs":{"tag":"t"},"time":"2026-11-20T16:04:05.00000006Z"}`},
	} {
		got := string(appendRecord(nil, "stdout", []byte(c.line), []byte(c.attrs), at))
		assert.Equal(t, got, c.want+"\n")
	}
}

func FuzzRecordIsJSON(f *testing.F) {
	f.Add([]byte("hello\n"))
	f.Add([]byte("\xff\"\\\u2028<\x00"))
	f.Fuzz(func(t *testing.T, line []byte) {
		var r struct{ Log string }
		record := appendRecord(nil, "stderr", line, nil, time.Unix(1, 1))
		if err := json.Unmarshal(record, &r); err != nil {
			t.Fatal(err)
		}
		if utf8.Valid(line) && r.Log != string(line) {
			t.Fatalf("%q became %q", line, r.Log)
		}
		if bytes.IndexByte(record, '\n') != len(record)-1 {
			t.Fatal("a record is one line")
		}
	})
}

func openTest(t *testing.T, o WriterOptions) *Writer {
	t.Helper()
	w, err := OpenWriter(filepath.Join(t.TempDir(), "x-json.log"), o)
	assert.NilError(t, err)
	t.Cleanup(func() { w.Close() })
	return w
}

func names(t *testing.T, w *Writer) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(w.path))
	assert.NilError(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimPrefix(e.Name(), "x-json.log"))
	}
	return out
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	assert.NilError(t, err)
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(text))
		assert.NilError(t, err)
		var out bytes.Buffer
		_, err = out.ReadFrom(z)
		assert.NilError(t, err)
		return out.String()
	}
	return string(text)
}

func TestRotationKeepsTheNewestFiles(t *testing.T) {
	w := openTest(t, WriterOptions{MaxSizeBytes: 4, MaxFiles: 3})
	for i := range 6 {
		if w.Full(0) {
			assert.NilError(t, w.Rotate())
		}
		assert.NilError(t, w.Write(fmt.Appendf(nil, "%d...", i)))
	}
	assert.DeepEqual(t, names(t, w), []string{"", ".1", ".2"})
	assert.Equal(t, content(t, w.path), "5...")
	assert.Equal(t, content(t, w.path+".1"), "4...")
	assert.Equal(t, content(t, w.path+".2"), "3...")
}

func TestRotationToOneFileStartsAnew(t *testing.T) {
	for _, n := range []int{0, 1} {
		w := openTest(t, WriterOptions{MaxSizeBytes: 4, MaxFiles: n})
		assert.NilError(t, w.Write([]byte("old.")))
		assert.Assert(t, w.Full(0))
		assert.NilError(t, w.Rotate())
		assert.NilError(t, w.Write([]byte("new")))
		assert.DeepEqual(t, names(t, w), []string{""})
		assert.Equal(t, content(t, w.path), "new")
		assert.Equal(t, w.Size(), int64(3))
	}
}

func TestRotationCompresses(t *testing.T) {
	w := openTest(t, WriterOptions{MaxSizeBytes: 4, MaxFiles: 3, Compress: true})
	for i := range 5 {
		if w.Full(0) {
			assert.NilError(t, w.Rotate())
		}
		assert.NilError(t, w.Write(fmt.Appendf(nil, "%d...", i)))
	}
	w.settle()
	assert.DeepEqual(t, names(t, w), []string{"", ".1.gz", ".2.gz"})
	assert.Equal(t, content(t, w.path+".1.gz"), "3...")
	assert.Equal(t, content(t, w.path+".2.gz"), "2...")
}

// TestRotationAfterAKillDuringCompression: the file that was not compressed in
// time moves on as it is, and no number has two files.
func TestRotationAfterAKillDuringCompression(t *testing.T) {
	w := openTest(t, WriterOptions{MaxSizeBytes: 1, MaxFiles: 4, Compress: true})
	for name, text := range map[string]string{"": "c", ".1": "b", ".1.gz.tmp": "half", ".2": "a", ".2.gz": "older"} {
		assert.NilError(t, os.WriteFile(w.path+name, []byte(text), 0o600))
	}
	assert.NilError(t, w.Rotate())
	w.settle()
	assert.Equal(t, content(t, w.path+".1.gz"), "c")
	assert.Equal(t, content(t, w.path+".2"), "b")
	assert.Equal(t, content(t, w.path+".3"), "a")
	assert.Equal(t, content(t, w.path), "")
}

func TestCutBackRemovesWhatWasNotCommitted(t *testing.T) {
	w := openTest(t, WriterOptions{MaxFiles: 2})
	assert.NilError(t, w.Write([]byte("committed\n")))
	size, inode := w.Size(), w.Inode()
	assert.NilError(t, w.Write([]byte("not\n")))

	again, err := OpenWriter(w.path, w.options)
	assert.NilError(t, err)
	defer again.Close()
	assert.NilError(t, again.CutBack(size, inode))
	assert.Equal(t, content(t, w.path), "committed\n")
	assert.Equal(t, again.Size(), size)
	assert.NilError(t, again.CutBack(size+100, inode)) // somebody else cut it: nothing to do
	assert.Equal(t, again.Size(), size)

	assert.NilError(t, again.Rotate())
	assert.NilError(t, again.Write([]byte("not either\n")))
	assert.NilError(t, again.CutBack(size, inode)) // killed between rotation and commit
	assert.Equal(t, content(t, w.path), "")
	assert.Equal(t, content(t, w.path+".1"), "committed\n")
}

func TestAFullDiskTearsNoRecord(t *testing.T) {
	w := openTest(t, WriterOptions{})
	assert.NilError(t, w.Write([]byte("whole\n")))
	var old syscall.Rlimit
	assert.NilError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	limited := old
	limited.Cur = 10 // as a disk with four bytes left, for this process
	assert.NilError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited))
	err := w.Write([]byte("too long\n"))
	assert.NilError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old))
	assert.Assert(t, errors.Is(err, syscall.EFBIG), "%v", err)
	assert.Equal(t, content(t, w.path), "whole\n")
	assert.NilError(t, w.Write([]byte("again\n")))
	assert.Equal(t, content(t, w.path), "whole\nagain\n")
}
