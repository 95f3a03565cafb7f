package archive

import (
	"bytes"
	"fmt"
	"testing"
)

// manyFiles is an archive like a layer of a language's libraries.
func manyFiles(files, size int) []byte {
	content := string(noise(size))
	var items []item
	for i := range files {
		if i%50 == 0 {
			items = append(items, fold(fmt.Sprintf("usr/share/d%d", i/50)))
		}
		items = append(items, reg(fmt.Sprintf("usr/share/d%d/f%d", i/50, i), content))
	}
	return pack(items...)
}

func BenchmarkUnpack(b *testing.B) {
	for _, c := range []struct{ files, size int }{{5000, 100}, {5000, 4000}, {4, 50 << 20}} {
		data := manyFiles(c.files, c.size)
		b.Run(fmt.Sprintf("files=%d/bytes=%d", c.files, c.size), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				b.StopTimer()
				root := b.TempDir()
				b.StartTimer()
				if _, err := unpack(b, root, data, UnpackOptions{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*c.files), "µs/file")
		})
	}
}

func BenchmarkDecompress(b *testing.B) {
	data := manyFiles(2000, 4000)
	for _, kind := range []Compression{Gzip, Zstd} {
		stream := compressed(b, kind, data)
		b.Run(kind.String(), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := readAllOf(bytes.NewReader(stream)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
