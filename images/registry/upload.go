package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Mount asks the registry to take a blob over from another of its repositories.
// Without success the answer begins an upload, which is given up.
func (r *Repository) Mount(ctx context.Context, d digest.Digest, from string) (bool, error) {
	query := url.Values{"mount": {d.String()}, "from": {from}}
	resp, err := r.do(ctx, request{
		method: http.MethodPost, url: r.url("blobs", "uploads") + "/?" + query.Encode(),
		scope: r.scope + " repository:" + from + ":pull",
	})
	if err != nil {
		if IsRefusal(err) {
			return false, nil // a token service that does not let him read there
		}
		return false, err
	}
	drain(resp)
	if resp.StatusCode == http.StatusCreated {
		return true, nil
	}
	if u, err := r.location(resp); err == nil {
		(&Upload{repo: r, at: u}).Cancel(ctx)
	}
	return false, nil
}

// Upload is a blob on its way to the registry.
type Upload struct {
	repo *Repository
	at   string
}

// Upload begins one.
func (r *Repository) Upload(ctx context.Context) (*Upload, error) {
	resp, err := r.do(ctx, request{method: http.MethodPost, url: r.url("blobs", "uploads") + "/"})
	if err != nil {
		return nil, err
	}
	drain(resp)
	at, err := r.location(resp)
	if err != nil {
		return nil, err
	}
	return &Upload{r, at}, nil
}

// location is where an upload goes on.
func (r *Repository) location(resp *http.Response) (string, error) {
	text := resp.Header.Get("Location")
	u, err := resp.Request.URL.Parse(text)
	if err != nil || text == "" {
		return "", errors.New("the registry does not say where to upload to")
	}
	// Behind a proxy that ends TLS a registry may not know how it is reached.
	if u.Scheme == "http" && r.at.scheme == "https" && u.Host == r.at.host {
		u.Scheme = "https"
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "", fmt.Errorf("the registry wants the upload at a %q URL", shorten(u.Scheme))
	case u.Scheme == "http" && resp.Request.URL.Scheme == "https" && !r.at.insecure:
		return "", errUnsafeRedirect
	}
	u.User = nil
	return u.String(), nil
}

// Append sends what body has, from offset on, as one stream.
func (u *Upload) Append(ctx context.Context, body io.Reader, offset int64) error {
	h := http.Header{"Content-Type": {"application/octet-stream"}}
	if offset > 0 {
		h.Set("Content-Range", fmt.Sprintf("%d-", offset))
	}
	used := false
	resp, err := u.repo.authorized(ctx, request{
		method: http.MethodPatch, url: u.at, header: h, length: -1,
		body: func() (io.Reader, error) {
			if used {
				return nil, errors.New("the registry asks for credentials in the middle of an upload")
			}
			used = true
			return struct{ io.Reader }{body}, nil
		},
	})
	if err != nil {
		return err
	}
	drain(resp)
	u.at, err = u.repo.location(resp)
	return err
}

// Offset asks how many bytes have arrived.
func (u *Upload) Offset(ctx context.Context) (int64, error) {
	resp, err := u.repo.do(ctx, request{method: http.MethodGet, url: u.at})
	if err != nil {
		return 0, err
	}
	drain(resp)
	if at, err := u.repo.location(resp); err == nil {
		u.at = at
	}
	_, last, ok := strings.Cut(strings.TrimPrefix(resp.Header.Get("Range"), "bytes="), "-")
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseInt(last, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("the registry says %q of the state of an upload", shorten(resp.Header.Get("Range")))
	}
	if n == 0 {
		return 0, nil // 0-0 is what an empty upload says, too
	}
	return n + 1, nil
}

// Commit ends the upload: the registry compares the digest.
func (u *Upload) Commit(ctx context.Context, d digest.Digest) error {
	target, err := url.Parse(u.at)
	if err != nil {
		return err
	}
	query := target.Query()
	query.Set("digest", d.String())
	target.RawQuery = query.Encode()
	resp, err := u.repo.do(ctx, request{
		method: http.MethodPut, url: target.String(), header: http.Header{"Content-Type": {"application/octet-stream"}},
	})
	if err != nil {
		return err
	}
	drain(resp)
	return nil
}

// Cancel gives it up; that this fails is the registry's loss.
func (u *Upload) Cancel(ctx context.Context) {
	if resp, err := u.repo.authorized(ctx, request{method: http.MethodDelete, url: u.at}); err == nil {
		drain(resp)
	}
}

// PutBlob uploads a small blob whole.
func (r *Repository) PutBlob(ctx context.Context, content []byte) error {
	u, err := r.Upload(ctx)
	if err != nil {
		return err
	}
	if err := u.Append(ctx, bytes.NewReader(content), 0); err != nil {
		return err
	}
	return u.Commit(ctx, digest.FromBytes(content))
}

// PutManifest writes a manifest under a tag or its digest.
func (r *Repository) PutManifest(ctx context.Context, tagOrDigest, mediaType string, raw []byte) error {
	resp, err := r.do(ctx, request{
		method: http.MethodPut, url: r.url("manifests", tagOrDigest),
		header: http.Header{"Content-Type": {mediaType}},
		body:   func() (io.Reader, error) { return bytes.NewReader(raw), nil },
		length: int64(len(raw)),
	})
	if err != nil {
		return err
	}
	drain(resp)
	return nil
}
