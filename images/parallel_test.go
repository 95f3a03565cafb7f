package images

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/jobs"
)

// counting counts the layers that are unpacked, and can hold them up.
type counting struct {
	graphdriver.Driver
	applied atomic.Int64
	hold    chan struct{} // nil: not at all
}

func (c *counting) ApplyDiff(ctx context.Context, id string, diff io.Reader) (int64, error) {
	c.applied.Add(1)
	if c.hold != nil {
		select {
		case <-c.hold:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return c.Driver.ApplyDiff(ctx, id, diff)
}

func (c *counting) Capabilities() graphdriver.Capabilities {
	return graphdriver.CapabilitiesOf(c.Driver)
}

func (c *counting) List(ctx context.Context) ([]string, error) {
	return c.Driver.(graphdriver.Lister).List(ctx)
}

func countingBench(t *testing.T, open graphdriver.New) (*bench, *counting) {
	c := &counting{}
	b := openBench(t, t.TempDir(), func(o graphdriver.Options) (graphdriver.Driver, error) {
		d, err := open(o)
		c.Driver = d
		return c, err
	}, nil)
	return b, c
}

func TestTwentyLoadsOfOneArchiveUnpackItOnce(t *testing.T) {
	for name, open := range drivers(t) {
		t.Run(name, func(t *testing.T) {
			b, c := countingBench(t, open)
			s := spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "a"), layerTar(t, "b"), layerTar(t, "c")}}
			archive := dockerArchive(t, s)
			var wg sync.WaitGroup
			errs := make([]error, 20)
			for n := range errs {
				wg.Go(func() { _, errs[n] = b.load(archive) })
			}
			wg.Wait()
			for _, err := range errs {
				assert.NilError(t, err)
			}
			assert.Equal(t, c.applied.Load(), int64(3))
			assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[web:1]"})
			next := b.reopen(open)
			checkWhole(t, next, "afterwards")
			checkNothingUnowned(t, next, "afterwards")
		})
	}
}

func TestALoadGoesOnWhenTheOneItWaitedForIsCancelled(t *testing.T) {
	for name, open := range drivers(t) {
		t.Run(name, func(t *testing.T) {
			b, c := countingBench(t, open)
			c.hold = make(chan struct{})
			base := layerTar(t, "base")
			first := dockerArchive(t, spec{tags: []string{"a:1"}, layers: [][]byte{base, layerTar(t, "a")}})
			second := dockerArchive(t, spec{tags: []string{"b:1"}, layers: [][]byte{base, layerTar(t, "b")}})

			ctx, cancel := context.WithCancel(context.Background())
			firstErr, secondErr := make(chan error, 1), make(chan error, 1)
			go func() {
				_, err := jobs.Load.Run(ctx, b.eng, jobs.LoadIn{Quiet: true}, nil, engine.Stdin(bytes.NewReader(first)))
				firstErr <- err
			}()
			for c.applied.Load() == 0 { // until the first is unpacking the base
				runtime.Gosched()
			}
			go func() {
				_, err := b.load(second)
				secondErr <- err
			}()
			for b.store.InFlight() < 3 {
				runtime.Gosched()
			}
			cancel()
			assert.ErrorContains(t, <-firstErr, "context canceled")
			close(c.hold)
			assert.NilError(t, <-secondErr)
			assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[b:1]"})
			next := b.reopen(open)
			checkWhole(t, next, "afterwards")
			checkNothingUnowned(t, next, "afterwards")
		})
	}
}

func TestVerbsAtTheSameTimeLeaveNothingBehind(t *testing.T) {
	for name, open := range drivers(t) {
		t.Run(name, func(t *testing.T) {
			b := openBench(t, t.TempDir(), open, nil)
			var archives [][]byte
			for n := range 4 {
				layers := [][]byte{layerTar(t, "base")}
				for m := range n {
					layers = append(layers, layerTar(t, fmt.Sprint("layer", m)))
				}
				archives = append(archives, dockerArchive(t, spec{tags: []string{fmt.Sprintf("i%d:1", n), "moving:1"}, layers: layers}))
			}
			var wg sync.WaitGroup
			for worker := range 6 {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(7, uint64(worker)))
					for range 25 {
						n := r.IntN(len(archives))
						name := fmt.Sprintf("i%d:1", n)
						switch r.IntN(5) {
						case 0, 1:
							_, err := b.load(archives[n])
							assert.Check(t, err)
						case 2:
							_, _ = b.rm(jobs.ImageDeleteIn{Image: name, Force: true})
						case 3:
							_, _ = jobs.Tag.Run(ctx, b.eng, jobs.TagIn{Image: name, Repository: "moving", Tag: "1"})
						case 4:
							if img, err := b.Lookup(ctx, name, ""); err == nil {
								_, _ = b.Parent(ctx, img.ID)
							}
							b.list(jobs.ImagesIn{SharedSize: true})
						}
					}
				})
			}
			wg.Wait()
			checkWhole(t, b, "alive")
			names := listing(b)
			next := b.reopen(open)
			assert.DeepEqual(t, listing(next), names)
			checkWhole(t, next, "after a restart")
			checkNothingUnowned(t, next, "after a restart")
			for next.Count() > 0 {
				_, err := next.rm(jobs.ImageDeleteIn{Image: next.store.Snapshot().Images[0].ID.String(), Force: true})
				assert.NilError(t, err)
			}
			assert.Equal(t, len(next.graphIDs()), 0)
		})
	}
}

// stuck is a client that does not read.
type stuck struct{ until chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	<-s.until
	return len(p), nil
}

func TestAClientThatDoesNotReadHoldsUpNobodyElse(t *testing.T) {
	b := newBench(t)
	layers := [][]byte{}
	for n := range 80 {
		layers = append(layers, layerTar(t, fmt.Sprint("layer", n)))
	}
	archive := dockerArchive(t, spec{tags: []string{"web:1"}, layers: layers})
	client := stuck{make(chan struct{})}
	first := make(chan error, 1)
	go func() {
		_, err := jobs.Load.Run(ctx, b.eng, jobs.LoadIn{}, nil, engine.Stdin(bytes.NewReader(archive)), engine.Stdout(client))
		first <- err
	}()
	for b.store.InFlight() == 0 && b.Count() == 0 {
		runtime.Gosched()
	}
	_, err := b.load(archive)
	assert.NilError(t, err)
	_, err = b.rm(jobs.ImageDeleteIn{Image: "web:1"})
	assert.NilError(t, err)
	assert.Equal(t, len(b.graphIDs()), 0)
	close(client.until)
	assert.NilError(t, <-first)
}
