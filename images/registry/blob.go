package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/internal/errs"
)

// ErrRange says that a registry has no such part of a blob: it is shorter than
// was said.
var ErrRange = errors.New("the blob is shorter than its manifest says")

// Blob opens a blob from an offset on. at is where the body really begins: 0 if
// the registry gives whole blobs only. Foreign layers that the registry does not
// have are asked for at their URLs, without credentials.
func (r *Repository) Blob(ctx context.Context, d ocispec.Descriptor, offset int64) (body io.ReadCloser, at int64, err error) {
	body, at, err = r.openBlob(ctx, request{method: http.MethodGet, url: r.url("blobs", d.Digest.String())}, d, offset)
	if err == nil || len(d.URLs) == 0 || !IsForeign(d.MediaType) {
		return body, at, err
	}
	for _, text := range d.URLs {
		u, uerr := url.Parse(text)
		if uerr != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			continue
		}
		body, at, uerr = r.openBlob(ctx, request{method: http.MethodGet, url: text, bare: true}, d, offset)
		if uerr == nil {
			return body, at, nil
		}
		err = uerr
	}
	return nil, 0, err
}

func (r *Repository) openBlob(ctx context.Context, q request, d ocispec.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	q.header = http.Header{"Accept-Encoding": {"identity"}}
	if offset > 0 {
		q.header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, max(d.Size-1, offset)))
	}
	resp, err := r.authorized(ctx, q) // whoever downloads has his own patience
	if err != nil {
		var e *Error
		if errors.As(err, &e) && e.Status == http.StatusRequestedRangeNotSatisfiable {
			return nil, 0, ErrRange
		}
		return nil, 0, err
	}
	if resp.StatusCode != http.StatusPartialContent {
		return resp.Body, 0, nil
	}
	var first int64
	if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &first); err != nil || first != offset {
		resp.Body.Close()
		return nil, 0, fmt.Errorf("the registry answers with another range than was asked for: %q", shorten(resp.Header.Get("Content-Range")))
	}
	return resp.Body, offset, nil
}

// Config reads a small blob whole and compares its digest.
func (r *Repository) Config(ctx context.Context, d ocispec.Descriptor, max int64) ([]byte, error) {
	if d.Size > max {
		return nil, errs.TooLarge("image config of %d bytes is larger than %d", d.Size, max)
	}
	resp, data, err := r.whole(ctx, request{method: http.MethodGet, url: r.url("blobs", d.Digest.String())}, d.Size+1)
	switch {
	case resp == nil:
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("read image config: %w", err)
	}
	if int64(len(data)) != d.Size || digest.FromBytes(data) != d.Digest {
		return nil, fmt.Errorf("image config verification failed for digest %s", d.Digest)
	}
	return data, nil
}

// HasBlob asks whether the repository has a blob, and how many bytes it has.
func (r *Repository) HasBlob(ctx context.Context, d digest.Digest) (size int64, have bool, err error) {
	resp, err := r.do(ctx, request{method: http.MethodHead, url: r.url("blobs", d.String())})
	if err != nil {
		var e *Error
		if errors.As(err, &e) && e.Status == http.StatusNotFound {
			return 0, false, nil
		}
		return 0, false, err
	}
	drain(resp)
	return resp.ContentLength, true, nil
}
