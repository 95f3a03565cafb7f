package images

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/moby/moby/api/types/jsonstream"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/images/registry"
	"github.com/jobengine/engine/internal/archive"
)

// layerPush brings one layer to a repository in the cheapest way that there is.
type layerPush struct {
	*pusher
	repo   *registry.Repository
	diffID digest.Digest
	chain  digest.Digest
	hint   *ocispec.Descriptor // the blob that it should be
}

func (l *layerPush) tell(status string) error {
	return l.out.send(layerMessage(l.diffID, status, &jsonstream.Progress{}))
}

func (l *layerPush) run(ctx context.Context) (ocispec.Descriptor, error) {
	candidates := l.candidates()
	// A layer that the registry need not have is named and not uploaded.
	if l.hint != nil && registry.IsForeign(l.hint.MediaType) && len(l.hint.URLs) > 0 {
		return *l.hint, l.tell("Skipped foreign layer")
	}
	asked := map[digest.Digest]bool{}
	for _, c := range candidates {
		if asked[c.Digest] {
			continue
		}
		asked[c.Digest] = true
		size, have, err := l.repo.HasBlob(ctx, c.Digest)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		if have && (size < 0 || size == c.Size) {
			return c.Descriptor, l.tell("Layer already exists")
		}
	}
	domain := registry.Domain(l.ref)
	for _, c := range candidates {
		from, ok := strings.CutPrefix(c.repository, domain+"/")
		if !ok || c.repository == l.ref.Name() {
			continue
		}
		mounted, err := l.repo.Mount(ctx, c.Digest, from)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		if mounted {
			return c.Descriptor, l.tell("Mounted from " + from)
		}
	}
	return l.upload(ctx)
}

// candidates are the blobs that the layer is known to be, the best ones first.
func (l *layerPush) candidates() []knownBlob {
	var same, near, far []knownBlob
	domain := registry.Domain(l.ref) + "/"
	for _, k := range l.known[l.diffID] {
		if registry.IsForeign(k.MediaType) {
			continue
		}
		switch {
		case l.hint != nil && k.Digest == l.hint.Digest:
			same = append(same, k)
		case strings.HasPrefix(k.repository, domain):
			near = append(near, k)
		default:
			far = append(far, k)
		}
	}
	const enough = 8 // questions cost time, too
	all := append(append(same, near...), far...)
	return all[:min(len(all), enough)]
}

// upload compresses the layer into the registry. When the connection breaks, the
// same stream is made again and goes on where the registry stopped.
func (l *layerPush) upload(ctx context.Context) (ocispec.Descriptor, error) {
	total, err := l.store.TarBytes(ctx, l.chain)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	var up *registry.Upload
	for attempt := 1; ; attempt++ {
		var d ocispec.Descriptor
		var offset int64
		if up == nil {
			up, err = l.repo.Upload(ctx)
		} else if offset, err = up.Offset(ctx); err != nil && registry.IsRefusal(err) {
			offset = 0
			up, err = l.repo.Upload(ctx) // it has forgotten it
		}
		if err == nil {
			d, err = l.send(ctx, up, offset, total)
		}
		if err == nil {
			return d, l.tell("Pushed")
		}
		var own ownError
		if ctx.Err() != nil || errors.As(err, &own) || registry.IsRefusal(err) && offset == 0 || attempt >= l.attempts() {
			if up != nil {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
				defer cancel()
				up.Cancel(ctx)
			}
			return ocispec.Descriptor{}, err
		}
		if registry.IsRefusal(err) {
			up = nil
		}
		after, _ := registry.IsBusy(err)
		wait := max(after, l.retryWait()<<(attempt-1))
		if err := l.tell(fmt.Sprintf("Retrying in %d seconds", max(1, int(wait/time.Second)))); err != nil {
			return ocispec.Descriptor{}, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ocispec.Descriptor{}, ctx.Err()
		}
	}
}

func (i *Images) attempts() int {
	if i.DownloadAttempts > 0 {
		return i.DownloadAttempts
	}
	return 5
}

func (i *Images) retryWait() time.Duration {
	if i.RetryWait > 0 {
		return i.RetryWait
	}
	return 2 * time.Second
}

// ownError is a trouble of the layer itself: no other attempt cures it.
type ownError struct{ error }

func (e ownError) Unwrap() error { return e.error }

// send makes the stream, leaves out what is there already, and ends the upload.
func (l *layerPush) send(ctx context.Context, up *registry.Upload, offset, total int64) (ocispec.Descriptor, error) {
	made, stop := context.WithCancel(ctx)
	defer stop()
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		z, err := archive.Compress(pw, archive.Gzip)
		if err == nil {
			err = l.store.WriteTar(made, &pushing{w: z, layer: l, total: total}, l.chain)
			if cerr := z.Close(); err == nil {
				err = cerr
			}
		}
		done <- err
		pw.CloseWithError(err)
	}()
	sum := sha256.New()
	counted := &streamed{r: io.TeeReader(pr, sum)}
	_, err := io.CopyN(io.Discard, counted, offset)
	if err == nil {
		err = up.Append(ctx, counted, offset)
	}
	stop()
	pr.CloseWithError(io.ErrClosedPipe)
	if merr := <-done; merr != nil && !errors.Is(merr, io.ErrClosedPipe) && !errors.Is(merr, context.Canceled) {
		return ocispec.Descriptor{}, ownError{merr}
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := ocispec.Descriptor{MediaType: registry.DockerLayer, Digest: digest.NewDigest(digest.SHA256, sum), Size: counted.n}
	return d, up.Commit(ctx, d.Digest)
}

type streamed struct {
	r io.Reader
	n int64
}

func (c *streamed) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// pushing tells how much of a layer has been sent.
type pushing struct {
	w        io.Writer
	layer    *layerPush
	n, total int64
	at       time.Time
}

func (p *pushing) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.n += int64(n)
	if time.Since(p.at) >= progressEvery {
		p.at = time.Now()
		p.layer.out.p.offer(layerMessage(p.layer.diffID, "Pushing", &jsonstream.Progress{Current: p.n, Total: p.total}))
	}
	return n, err
}
