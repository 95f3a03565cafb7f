package archive

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// FuzzUnpack feeds any bytes as an archive, with each handling of whiteouts in
// turn: nothing outside the root may change.
func FuzzUnpack(f *testing.F) {
	for _, h := range hostile {
		f.Add(byte(0), pack(h.items...))
		f.Add(byte(1), pack(h.items...))
		f.Add(byte(2), pack(h.items...))
	}
	f.Add(byte(0), gnuSparse("holes", 1<<20, "end"))
	f.Add(byte(1), pack(fold("d"), reg("d/f", "1"), reg("d/.wh.f", ""), reg("d/.wh..wh..opq", ""), reg(".wh.d", "")))
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		c := newCanary(t)
		// What the fuzzer sees of OUT is the real folder.
		data = bytes.ReplaceAll(data, []byte("UP"), []byte(".."))
		o := UnpackOptions{Whiteouts: Whiteouts(kind % 3), RootEntry: kind&4 != 0, MaxBytes: 1 << 20, MaxEntries: 3000, Devices: SkipDevices,
			NoOverwriteDirNonDir: kind&8 != 0}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := unpackFuzzed(ctx, c.root, data, o)
		if err != nil && strings.Contains(err.Error(), "runtime error") {
			t.Fatal(err)
		}
		c.unharmed(t)
	})
}

func unpackFuzzed(ctx context.Context, root string, data []byte, o UnpackOptions) (Result, error) {
	if os.Geteuid() != 0 {
		o.NoOwner = true
	}
	return Unpack(ctx, root, bytes.NewReader(data), o)
}

// FuzzDecompress feeds any bytes as a compressed stream.
func FuzzDecompress(f *testing.F) {
	for _, kind := range []Compression{None, Gzip, Zstd} {
		f.Add(compressed(f, kind, []byte("some data")))
	}
	f.Add(bzip2Hello)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, _, err := Decompress(bytes.NewReader(data))
		if err != nil {
			return
		}
		defer r.Close()
		_, _ = io.Copy(io.Discard, LimitReader(r, 16<<20))
	})
}
