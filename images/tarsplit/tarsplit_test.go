package tarsplit

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/archive"
)

// unpack makes a tree of a tar as a graph driver does.
func unpack(t testing.TB, data []byte) (dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	o := archive.UnpackOptions{Whiteouts: archive.Apply, RootEntry: true}
	if os.Geteuid() != 0 {
		o.NoOwner, o.Devices = true, archive.SkipDevices
	}
	_, err = archive.Unpack(context.Background(), dir, bytes.NewReader(data), o)
	return dir, err
}

func split(t testing.TB, data []byte) ([]byte, Summary) {
	t.Helper()
	var index bytes.Buffer
	sum, err := Split(&index, bytes.NewReader(data))
	assert.NilError(t, err)
	assert.Equal(t, sum.Bytes, int64(len(data)))
	return index.Bytes(), sum
}

func join(index []byte, dir string) ([]byte, error) {
	var out bytes.Buffer
	err := Join(context.Background(), &out, bytes.NewReader(index), dir)
	return out.Bytes(), err
}

// assertRoundTrip says that the tree of a tar gives it back.
func assertRoundTrip(t testing.TB, data []byte) {
	t.Helper()
	dir, err := unpack(t, data)
	assert.NilError(t, err)
	index, sum := split(t, data)
	assert.Equal(t, sum.Whole, "")
	again, err := join(index, dir)
	assert.NilError(t, err)
	assert.Assert(t, bytes.Equal(again, data), "%d bytes, not %d", len(again), len(data))
}

type entry struct {
	tar.Header
	content string
}

func makeTar(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, e := range entries {
		h := e.Header
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 && h.Typeflag != tar.TypeXGlobalHeader {
			h.Mode = 0o755
		}
		h.Size = int64(len(e.content))
		assert.NilError(t, tw.WriteHeader(&h))
		_, err := io.WriteString(tw, e.content)
		assert.NilError(t, err)
	}
	assert.NilError(t, tw.Close())
	return buf.Bytes()
}

func file(name, content string) entry { return entry{tar.Header{Name: name}, content} }

func TestATreeGivesItsTarBack(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 100_000)
	for name, entries := range map[string][]entry{
		"nothing":        nil,
		"files":          {file("a", "x"), file("b/c", big), file("d", ""), file("b/e", strings.Repeat("y", 512))},
		"odd names":      {file("./a//b", "1"), file("/c", "2"), file("d/../e", "3"), file("\xff\xfe", "4"), file(strings.Repeat("n", 200), "5"), file("g"+strings.Repeat("/x", 100), "6")},
		"all kinds":      {{tar.Header{Name: "d/", Typeflag: tar.TypeDir}, ""}, file("d/f", "1"), {tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "d/f"}, ""}, {tar.Header{Name: "s", Typeflag: tar.TypeSymlink, Linkname: "../../x"}, ""}, {tar.Header{Name: "p", Typeflag: tar.TypeFifo}, ""}},
		"whiteouts":      {file(".wh.gone", ""), file("d/.wh..wh..opq", ""), file("d/.wh.x", "it has content, which is nowhere"), file("d/y", "1")},
		"a root entry":   {{tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o700}, ""}, file("./a", "1")},
		"ustar":          {{tar.Header{Name: "a", Format: tar.FormatUSTAR}, "1"}},
		"gnu":            {{tar.Header{Name: strings.Repeat("a/", 90) + "b", Format: tar.FormatGNU}, "1"}},
		"pax":            {{tar.Header{Name: "a", Format: tar.FormatPAX, ModTime: time.Unix(1, 5), PAXRecords: map[string]string{"SCHILY.xattr.user.k": "v", "comment": strings.Repeat("c", 300_000)}}, "1"}},
		"a global entry": {{tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "c"}}, ""}, file("a", "1")},
		"folders twice":  {{tar.Header{Name: "d", Typeflag: tar.TypeDir}, ""}, file("d/a", "1"), {tar.Header{Name: "d/", Typeflag: tar.TypeDir}, ""}, file("d/b", "2")},
	} {
		t.Run(name, func(t *testing.T) {
			data := makeTar(t, entries...)
			assertRoundTrip(t, data)
			assertRoundTrip(t, append(data[:len(data):len(data)], make([]byte, 9<<10)...))         // as GNU tar pads it
			assertRoundTrip(t, append(data[:len(data):len(data)], "what follows the end mark"...)) // and as nobody does
			assertRoundTrip(t, data[:len(data)-1024])                                              // an end mark is nobody's duty here
		})
	}
}

// Random tars of random formats, with their entries in any order.
func TestAnyTreeGivesItsTarBack(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	whole := 0
	for range 200 {
		var entries []entry
		for n := range r.IntN(30) {
			h := tar.Header{
				Name: fmt.Sprintf("%c/%c/%d", 'a'+r.IntN(3), 'a'+r.IntN(3), n), Format: []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU}[r.IntN(3)],
				Uid: r.IntN(70000), ModTime: time.Unix(r.Int64N(2e9), 0), Mode: int64(r.IntN(0o1000)) | 0o600,
			}
			switch r.IntN(8) {
			case 0:
				h.Typeflag = tar.TypeDir
				h.Mode |= 0o700
			case 1:
				h.Typeflag, h.Linkname = tar.TypeSymlink, "x"
			case 2:
				h.Name = fmt.Sprintf("%c/%d", 'a'+r.IntN(3), r.IntN(9))
			}
			e := entry{Header: h}
			if h.Typeflag == 0 {
				e.content = strings.Repeat(string(rune('A'+n)), r.IntN(3000))
			}
			entries = append(entries, e)
		}
		data := makeTar(t, entries...)
		if _, sum := split(t, data); sum.Whole != "" {
			whole++
			continue
		}
		assertRoundTrip(t, data)
	}
	assert.Assert(t, whole < 150, "%d of 200 are kept whole: the test shows little", whole)
}

func TestTarsThatTheirTreeCannotGiveBackAreKnown(t *testing.T) {
	link := entry{tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "d"}, ""}
	for name, entries := range map[string][]entry{
		"a file twice":                 {file("a", "1"), file("b", "2"), file("./a", "3")},
		"a file that becomes a link":   {file("a", "1"), {tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "b"}, ""}},
		"a folder that becomes a file": {file("d/a", "1"), file("d", "2")},
		"a file through a link":        {file("d/a", "1"), link, file("l/a", "2")},
		"a file in a file":             {file("d", "1"), file("d/a", "2")},
	} {
		t.Run(name, func(t *testing.T) {
			_, sum := split(t, makeTar(t, entries...))
			assert.Assert(t, sum.Whole != "")
		})
	}
	t.Run("holes", func(t *testing.T) {
		data, err := os.ReadFile("testdata/sparse.tar")
		assert.NilError(t, err)
		_, sum := split(t, data)
		assert.Equal(t, sum.Whole, "it holds a file with holes")
	})
}

// zeros is a file that claims to be large.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	clear(p[:n])
	z.left -= n
	return int(n), nil
}

// CVE-2017-14992: gigabytes behind the end mark, and attributes without end.
func TestPaddingAndHugeHeadersNeedNoMemory(t *testing.T) {
	var index counter
	before := heap()
	data := makeTar(t, file("a", "1"))
	sum, err := Split(&index, io.MultiReader(bytes.NewReader(data), &zeros{4 << 30}))
	assert.NilError(t, err)
	assert.Equal(t, sum.Bytes, int64(len(data))+4<<30)
	assert.Assert(t, index.n < 1000, "%d bytes of index for a run of zeros", index.n)

	pr, pw := io.Pipe()
	go func() {
		tw := tar.NewWriter(pw)
		for n := range 300 {
			value := strings.Repeat(fmt.Sprint(n%10), 1_000_000)
			if err := tw.WriteHeader(&tar.Header{Name: fmt.Sprint(n), Format: tar.FormatPAX, PAXRecords: map[string]string{"comment": value}}); err != nil {
				pw.CloseWithError(err)
				return
			}
		}
		pw.CloseWithError(tw.Close())
	}()
	sum, err = Split(&index, pr)
	assert.NilError(t, err)
	assert.Equal(t, sum.Whole, "")
	assert.Assert(t, heap() < before+32<<20, "%d MB", (heap()-before)>>20)
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestDamageIsToldAndNothingOutsideIsRead(t *testing.T) {
	data := makeTar(t, file("a", "first"), file("d/b", "second"))
	index, _ := split(t, data)
	fresh := func() string {
		dir, err := unpack(t, data)
		assert.NilError(t, err)
		return dir
	}
	secret := filepath.Join(t.TempDir(), "secret")
	assert.NilError(t, os.WriteFile(secret, []byte("first"), 0o600))
	for name, change := range map[string]func(dir string) error{
		"gone":    func(dir string) error { return os.Remove(filepath.Join(dir, "a")) },
		"shorter": func(dir string) error { return os.Truncate(filepath.Join(dir, "a"), 2) },
		"longer":  func(dir string) error { return os.Truncate(filepath.Join(dir, "a"), 20) },
		"a folder": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "a")), os.Mkdir(filepath.Join(dir, "a"), 0o700))
		},
		"a link out": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "a")), os.Symlink(secret, filepath.Join(dir, "a")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fresh()
			assert.NilError(t, change(dir))
			_, err := join(index, dir)
			assert.Assert(t, errdefs.IsDataLoss(err), "%v", err)
		})
	}
	dir := fresh()
	for cut := range len(index) {
		_, err := join(index[:cut], dir)
		assert.Assert(t, errdefs.IsDataLoss(err), "cut off at %d: %v", cut, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	assert.ErrorIs(t, Join(ctx, io.Discard, bytes.NewReader(index), dir), context.Canceled)
}

func TestErrorsOfTheDiskAndOfTheSourceComeOut(t *testing.T) {
	full := errors.New("disk full")
	_, err := Split(failing{full}, bytes.NewReader(makeTar(t, file("a", "1"))))
	assert.ErrorIs(t, err, full)
	gone := errors.New("client gone")
	_, err = Split(io.Discard, io.MultiReader(bytes.NewReader(makeTar(t, file("a", "1"))[:700]), failing{gone}))
	assert.ErrorIs(t, err, gone)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
func (f failing) Read([]byte) (int, error)  { return 0, f.err }
