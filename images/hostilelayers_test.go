package images

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/jobs"
)

// Layers whose forms have led other unpackers astray: each is refused, or taken
// and then gives back the same bytes, and the host is as it was.
func TestHostileLayersOfOddForms(t *testing.T) {
	const link, hard = tar.TypeSymlink, tar.TypeLink
	for driver, open := range drivers(t) {
		target, check := canary(t)
		dir := filepath.Dir(target)
		for name, row := range map[string]struct {
			layer  []byte
			refuse bool
			shows  []string // names that the merged tree has then
			hides  []string // and has not
		}{
			"a folder becomes a link, then is filled": {layer: makeTar(t, entry{name: "d/"}, entry{name: "d/a", body: "1"}, entry{name: "d", kind: link, link: dir}, entry{name: "d/canary", body: "x"})},
			"a link becomes a folder, then is filled": {layer: makeTar(t, entry{name: "d", kind: link, link: dir}, entry{name: "d/"}, entry{name: "d/canary", body: "x"}), shows: []string{"d/canary"}},
			"a hard link through a link":              {layer: makeTar(t, entry{name: "ln", kind: link, link: "/"}, entry{name: "hl", kind: hard, link: "ln" + target}), refuse: true},
			"a hard link to what becomes a link":      {layer: makeTar(t, entry{name: "f", body: "1"}, entry{name: "hl", kind: hard, link: "f"}, entry{name: "f", kind: link, link: target}, entry{name: "hl2", kind: hard, link: "f"}), shows: []string{"hl", "hl2"}},
			"a name that a link changes":              {layer: makeTar(t, entry{name: "a", kind: link, link: dir}, entry{name: "a/../b", body: "x"}), shows: []string{"b"}},
			"a hard link with an absolute target":     {layer: makeTar(t, entry{name: "f", body: "1"}, entry{name: "hl", kind: hard, link: "/f"}), shows: []string{"f", "hl"}},
			"whiteouts of odd names":                  {layer: makeTar(t, entry{name: ".wh.base"}, entry{name: "d/.wh..wh.plnk/x", body: "1"}, entry{name: ".wh..wh.aufs"}), hides: []string{"base", "d/.wh..wh.plnk"}},
			"a whiteout with nothing behind it":       {layer: makeTar(t, entry{name: ".wh."}), refuse: true},
			"a whiteout of the folder itself":         {layer: makeTar(t, entry{name: "d/.wh.."}), refuse: true},
			"a whiteout of what is above":             {layer: makeTar(t, entry{name: "d/.wh..."}), refuse: true},
			"an opaque mark that is a link":           {layer: makeTar(t, entry{name: "dir/.wh..wh..opq", kind: link, link: target}), hides: []string{"dir/old"}, shows: []string{"dir"}},
			"a whiteout that is a link":               {layer: makeTar(t, entry{name: ".wh.base", kind: link, link: target}), hides: []string{"base"}},
			"a whiteout that is a folder":             {layer: makeTar(t, entry{name: ".wh.base/"}, entry{name: ".wh.base/x", body: "1"}), refuse: true},
			"a whiteout through a link":               {layer: makeTar(t, entry{name: "ln", kind: link, link: dir}, entry{name: "ln/.wh.canary"})},
			"an opaque mark through a link":           {layer: makeTar(t, entry{name: "ln", kind: link, link: dir}, entry{name: "ln/.wh..wh..opq"})},
			"the root through a link":                 {layer: makeTar(t, entry{name: "ln", kind: link, link: "."}, entry{name: "ln/ln/ln/f", body: "1"}), shows: []string{"f"}},
			"a circle of links":                       {layer: makeTar(t, entry{name: "a", kind: link, link: "b"}, entry{name: "b", kind: link, link: "a"}, entry{name: "a/f", body: "1"}), refuse: true},
			"xz":                                      {layer: append([]byte{0xfd, '7', 'z', 'X', 'Z', 0}, make([]byte, 2048)...), refuse: true},
			"zstd with a window of 2 GB":              {layer: []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00}, refuse: true},
			"a path of 64 k folders":                  {layer: deepTar(64 << 10), refuse: true},
		} {
			t.Run(driver+"/"+name, func(t *testing.T) {
				b := openBench(t, t.TempDir(), open, nil)
				base := makeTar(t, entry{name: "base", body: "1"}, entry{name: "dir/old", body: "1"})
				b.mustLoad(dockerArchive(t, spec{tags: []string{"good:1"}, layers: [][]byte{base}}))
				before := b.files()
				_, err := b.load(dockerArchive(t, spec{tags: []string{"odd:1"}, layers: [][]byte{base, row.layer}}))
				check()
				if row.refuse {
					assert.Assert(t, err != nil, "it was taken")
					assert.DeepEqual(t, b.files(), before)
					return
				}
				assert.NilError(t, err)
				archive, err := b.save("odd:1")
				assert.NilError(t, err)
				assert.Assert(t, bytes.Equal(blobs(t, archive)["blobs/sha256/"+digestHex(row.layer)], row.layer))
				layer := topLayer(t, b, "odd:1")
				tree, err := b.Graph.Get(ctx, layer)
				assert.NilError(t, err)
				for _, name := range row.shows {
					_, err := os.Lstat(filepath.Join(tree, name))
					assert.NilError(t, err)
				}
				for _, name := range row.hides {
					_, err := os.Lstat(filepath.Join(tree, name))
					assert.Assert(t, os.IsNotExist(err), name)
				}
				assert.NilError(t, b.Graph.Put(ctx, layer))
				_, err = b.rm(jobs.ImageDeleteIn{Image: "odd:1"})
				assert.NilError(t, err)
				assert.DeepEqual(t, b.files(), before)
				check()
			})
		}
	}
}

func topLayer(t *testing.T, b *bench, name string) string {
	t.Helper()
	img, err := b.find(name)
	assert.NilError(t, err)
	layers := b.store.Layers(img)
	return layers[len(layers)-1].GraphID
}

// deepTar has one name of so many folders, in a header that is larger than any path.
func deepTar(folders int) []byte {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	_ = tw.WriteHeader(&tar.Header{Name: strings.Repeat("d/", folders) + "f", Format: tar.FormatPAX, Mode: 0o600})
	_ = tw.Close()
	return buf.Bytes()
}

// Layers that cost their sender little: empty entries without end, attributes of a
// megabyte, half a gigabyte of padding. They end in bounded memory and give
// back the same bytes, or are refused and leave nothing.
func TestHostileLayersThatCostMuch(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	const entries = 100_000 // each a header of its own
	for name, row := range map[string]struct {
		write  func(w io.Writer) error
		refuse string
	}{
		"entries without end for one folder": {write: func(w io.Writer) error {
			tw := tar.NewWriter(w)
			for range entries {
				if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o755}); err != nil {
					return err
				}
			}
			return tw.Close()
		}},
		"attributes of a megabyte": {write: func(w io.Writer) error {
			tw := tar.NewWriter(w)
			for n := range 100 {
				h := tar.Header{Name: fmt.Sprint(n), Mode: 0o600, Format: tar.FormatPAX, PAXRecords: map[string]string{"comment": strings.Repeat("x", 1_000_000)}}
				if err := tw.WriteHeader(&h); err != nil {
					return err
				}
			}
			return tw.Close()
		}},
		"a key of more than a megabyte": {refuse: "not a tar", write: func(w io.Writer) error {
			_, err := w.Write(longKey(2 << 20))
			return err
		}},
		"half a gigabyte behind the end mark": {write: func(w io.Writer) error {
			tw := tar.NewWriter(w)
			if err := tw.WriteHeader(&tar.Header{Name: "f", Mode: 0o600}); err != nil {
				return err
			}
			if err := tw.Close(); err != nil {
				return err
			}
			chunk := make([]byte, 1<<20)
			for range 512 {
				if _, err := w.Write(chunk); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			open := drivers(t)["overlay2"]
			if open == nil {
				open = drivers(t)["vfs"]
			}
			b := openBench(t, t.TempDir(), open, nil)
			before := b.files()
			digester := digest.SHA256.Digester()
			assert.NilError(t, row.write(digester.Hash()))
			want := digester.Digest()
			source := store.Source{DiffID: want, Open: func(context.Context) (io.ReadCloser, error) {
				pr, pw := io.Pipe()
				go func() { pw.CloseWithError(row.write(pw)) }()
				return pr, nil
			}}
			peak := watchHeap(t)
			lease, err := b.store.Unpack(ctx, []store.Source{source})
			if row.refuse != "" {
				assert.ErrorContains(t, err, row.refuse)
				assert.DeepEqual(t, b.files(), before)
				return
			}
			assert.NilError(t, err)
			digester = digest.SHA256.Digester()
			assert.NilError(t, b.store.WriteTar(ctx, digester.Hash(), want))
			assert.Equal(t, digester.Digest(), want)
			assert.Assert(t, peak() < 64<<20, "%d MB", peak()>>20)
			var kept int64
			each(t, filepath.Join(b.root, "images"), func(path string) {
				st, err := os.Stat(path)
				assert.NilError(t, err)
				kept += st.Size()
			})
			assert.Assert(t, kept < 8<<20, "%d MB are kept", kept>>20)
			lease.Release()
			assert.DeepEqual(t, b.files(), before)
		})
	}
}

// longKey is a tar that begins with an attribute whose key has so many bytes,
// which package tar would not write.
func longKey(length int) []byte {
	record := "X." + strings.Repeat("k", length) + "=v\n"
	record = fmt.Sprintf("%d %s", len(record)+8, record)
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	_ = tw.WriteHeader(&tar.Header{Name: "x", Mode: 0o600, Size: int64(len(record)), Format: tar.FormatUSTAR})
	_, _ = io.WriteString(tw, record)
	_ = tw.WriteHeader(&tar.Header{Name: "f", Mode: 0o600})
	_ = tw.Close()
	data := buf.Bytes()
	const typeflag, checksum = 156, 148 // places in the header
	data[typeflag] = tar.TypeXHeader
	copy(data[checksum:], "        ")
	sum := 0
	for _, b := range data[:512] {
		sum += int(b)
	}
	copy(data[checksum:], fmt.Sprintf("%06o\x00 ", sum))
	return data
}

// watchHeap gives by how much the live heap has grown at most, as garbage collections saw it.
func watchHeap(t *testing.T) (peak func() uint64) {
	t.Helper()
	old := debug.SetGCPercent(20)
	t.Cleanup(func() { debug.SetGCPercent(old) })
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	begin := m.HeapSys
	return func() uint64 {
		runtime.ReadMemStats(&m)
		return m.HeapSys - min(begin, m.HeapSys)
	}
}
