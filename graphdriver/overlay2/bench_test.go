package overlay2

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jobengine/engine/graphdriver"
)

func benchDriver(b *testing.B, layers int) (graphdriver.Driver, string) {
	b.Helper()
	d, err := New(graphdriver.Options{Home: b.TempDir()})
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { d.Cleanup() })
	parent := ""
	for i := range layers {
		id := fmt.Sprintf("%064x", i)
		if err := d.Create(b.Context(), id, parent); err != nil {
			b.Fatal(err)
		}
		parent = id
	}
	return d, parent
}

// BenchmarkContainerLayer is what one container costs the driver.
func BenchmarkContainerLayer(b *testing.B) {
	for _, layers := range []int{2, 10, 100} {
		for _, volatile := range []string{"false", "true"} {
			b.Run(fmt.Sprintf("layers=%d/volatile=%s", layers, volatile), func(b *testing.B) {
				d, top := benchDriver(b, layers)
				var phase [4]time.Duration
				n := 0
				for b.Loop() {
					start := time.Now()
					lap := func(i int) {
						now := time.Now()
						phase[i] += now.Sub(start)
						start = now
					}
					check(b, d.CreateReadWrite(b.Context(), "rw", top, map[string]string{"volatile": volatile}))
					lap(0)
					dir, err := d.Get(b.Context(), "rw")
					check(b, err)
					lap(1)
					check(b, os.WriteFile(dir+"/f", []byte("x"), 0o600))
					start = time.Now()
					check(b, d.Put(b.Context(), "rw"))
					lap(2)
					check(b, d.Remove(b.Context(), "rw"))
					lap(3)
					n++
				}
				for i, unit := range []string{"µs/create", "µs/get", "µs/put", "µs/remove"} {
					b.ReportMetric(float64(phase[i].Microseconds())/float64(n), unit)
				}
			})
		}
	}
}

// BenchmarkApplyDiff unpacks a layer of many small files.
func BenchmarkApplyDiff(b *testing.B) {
	d, _ := benchDriver(b, 0)
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	content := bytes.Repeat([]byte("x"), 4000)
	const files = 5000
	for i := range files {
		if i%50 == 0 {
			check(b, w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: fmt.Sprintf("usr/share/d%d/", i/50), Mode: 0o755}))
		}
		check(b, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("usr/share/d%d/f%d", i/50, i), Mode: 0o644, Size: int64(len(content))}))
		_, err := w.Write(content)
		check(b, err)
	}
	check(b, w.Close())
	for b.Loop() {
		check(b, d.Create(b.Context(), "a", ""))
		_, err := d.ApplyDiff(b.Context(), "a", bytes.NewReader(buf.Bytes()))
		check(b, err)
		b.StopTimer()
		check(b, d.Remove(b.Context(), "a"))
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/files, "µs/file")
}

func check(b *testing.B, err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}
