package archive

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"
)

func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{})
	data := make([]byte, n)
	r.Read(data)
	return data
}

func compressed(t testing.TB, kind Compression, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := Compress(&buf, kind)
	assert.NilError(t, err)
	_, err = w.Write(data)
	assert.NilError(t, err)
	assert.NilError(t, w.Close())
	return buf.Bytes()
}

// "hello bzip2\n" as bzip2 -9 writes it.
var bzip2Hello = []byte("\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\xab\x6b\xa1\xf1\x00\x00\x02\xd9\x80\x00\x10\x40\x00\x10\x00\x12\x64\xc0\x10\x20\x00\x31\x00\xd3\x4d\x04\x00\x1e\xa3\xef\x4e\x51\xa2\x07\x8b\xb9\x22\x9c\x28\x48\x55\xb5\xd0\xf8\x80")

func TestDecompressGivesBackWhatCompressTook(t *testing.T) {
	for _, data := range [][]byte{nil, []byte("x"), []byte(strings.Repeat("layer ", 1e5)), noise(3 << 20)} {
		for _, kind := range []Compression{None, Gzip, Zstd} {
			stream := compressed(t, kind, data)
			assert.Equal(t, Detect(stream), kind)
			r, found, err := Decompress(bytes.NewReader(stream))
			assert.NilError(t, err)
			assert.Equal(t, found, kind)
			back, err := io.ReadAll(r)
			assert.NilError(t, err)
			assert.Assert(t, bytes.Equal(back, data), "%s of %d bytes", kind, len(data))
			assert.NilError(t, r.Close())
		}
	}
}

func TestDecompressReadsBzip2(t *testing.T) {
	back, err := readAllOf(bytes.NewReader(bzip2Hello))
	assert.NilError(t, err)
	assert.Equal(t, string(back), "hello bzip2\n")
}

func TestDecompressJoinsConcatenatedStreams(t *testing.T) {
	for _, kind := range []Compression{Gzip, Zstd} {
		stream := append(compressed(t, kind, []byte("one ")), compressed(t, kind, []byte("two"))...)
		r, _, err := Decompress(bytes.NewReader(stream))
		assert.NilError(t, err)
		back, err := io.ReadAll(r)
		assert.NilError(t, err)
		assert.Equal(t, string(back), "one two")
	}
}

func TestDecompressRefusesXzByName(t *testing.T) {
	_, kind, err := Decompress(strings.NewReader("\xfd7zXZ\x00 and so on"))
	assert.Equal(t, kind, Xz)
	assert.Assert(t, errdefs.IsInvalidArgument(err))
	assert.ErrorContains(t, err, "xz")
}

func TestDecompressTellsTruncatedFromDamagedFromUnreadable(t *testing.T) {
	data := noise(100_000)
	for _, kind := range []Compression{Gzip, Zstd} {
		stream := compressed(t, kind, data)
		_, err := readAllOf(bytes.NewReader(stream[:len(stream)/2]))
		assert.ErrorIs(t, err, ErrTruncated, kind.String())

		damaged := bytes.Clone(stream)
		damaged[len(damaged)/2] ^= 0xff
		damaged[len(damaged)-3] ^= 0xff
		_, err = readAllOf(bytes.NewReader(damaged))
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%s: %v", kind, err)

		broken := errors.New("the source failed")
		_, err = readAllOf(&failingReader{stream[:len(stream)/2], broken})
		assert.ErrorIs(t, err, broken)
		assert.Assert(t, !errdefs.IsInvalidArgument(err))
	}
	_, err := readAllOf(bytes.NewReader(bzip2Hello[:30]))
	assert.ErrorIs(t, err, ErrTruncated)
	for _, magic := range []string{"\x1f\x8b\x08", "\x28\xb5\x2f\xfd", "BZh", "\x50\x2a\x4d\x18"} {
		_, err := readAllOf(strings.NewReader(magic))
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%q: %v", magic, err)
	}
}

func readAllOf(r io.Reader) ([]byte, error) {
	d, _, err := Decompress(r)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return io.ReadAll(d)
}

func TestDecompressRefusesHugeWindows(t *testing.T) {
	// Frame headers that ask for windows of 2 GiB, 64 MiB and 32 MiB, and a block of one byte.
	frame := func(window string) io.Reader {
		return strings.NewReader("\x28\xb5\x2f\xfd\x00" + window + "\x09\x00\x00x")
	}
	_, err := readAllOf(frame("\xa8"))
	assert.ErrorIs(t, err, ErrTooLarge)
	_, err = readAllOf(frame("\x80"))
	assert.ErrorIs(t, err, ErrTooLarge)
	_, err = readAllOf(frame("\x78"))
	assert.NilError(t, err)
}

func TestUnpackOfABombStopsEarlyInBoundedMemory(t *testing.T) {
	bomb := compressed(t, Gzip, pack(reg("zeros", strings.Repeat("\x00", 200<<20))))
	assert.Assert(t, len(bomb) < 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, _, err := Decompress(bytes.NewReader(bomb))
	assert.NilError(t, err)
	root := t.TempDir()
	_, err = Unpack(t.Context(), root, LimitReader(r, 10<<20), unprivileged(UnpackOptions{}))
	assert.ErrorIs(t, err, ErrTooLarge)
	runtime.ReadMemStats(&after)
	assert.Assert(t, after.TotalAlloc-before.TotalAlloc < 16<<20, "%d bytes allocated", after.TotalAlloc-before.TotalAlloc)
}

func TestReadAheadGivesTheSameBytesAndError(t *testing.T) {
	data := noise(3<<20 + 17)
	broken := errors.New("the source failed")
	r := ReadAhead(&failingReader{data, broken})
	back, err := io.ReadAll(r)
	assert.ErrorIs(t, err, broken)
	assert.Assert(t, bytes.Equal(back, data))
	_, err = r.Read(make([]byte, 1))
	assert.ErrorIs(t, err, broken, "again")
	assert.NilError(t, r.Close())
}

func TestReadAheadEndsWhenClosed(t *testing.T) {
	r := ReadAhead(&countingZeros{left: 1 << 40})
	_, err := io.ReadFull(r, make([]byte, 1000))
	assert.NilError(t, err)
	assert.NilError(t, r.Close())
	assert.NilError(t, r.Close())
	n, err := r.Read(make([]byte, 1<<20)) // not what was read already: its buffer is not ours any more
	assert.ErrorIs(t, err, io.ErrClosedPipe)
	assert.Equal(t, n, 0)
}

// A decoder that was used before gives the next stream, however the one before ended.
func TestDecompressUsesZstdDecodersAgain(t *testing.T) {
	data := noise(3 << 20)
	good := compressed(t, Zstd, data)
	for n := range 20 {
		bad, _, err := Decompress(bytes.NewReader(good[:len(good)-1000*n-1]))
		assert.NilError(t, err)
		_, err = io.ReadFull(bad, make([]byte, 1000*n+1)) // it is left in the middle
		assert.NilError(t, err)
		assert.NilError(t, bad.Close())
		assert.NilError(t, bad.Close())
		_, err = bad.Read(make([]byte, 1))
		assert.Assert(t, err != nil)
		back, err := readAllOf(bytes.NewReader(good))
		assert.NilError(t, err)
		assert.Assert(t, bytes.Equal(back, data))
	}
}
