//go:build system

package test

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"gotest.tools/v3/assert"
)

// made is a layer that is made anew, the same each time, whenever somebody asks for it: it needs neither disk nor memory here.
type made struct {
	kind           string // of its media type
	files, size    int    // how many files, and of how many bytes
	dense          bool   // its content does not compress
	seed           uint64
	digest, diffID string
	length         int64
}

type counting struct{ n int64 }

func (c *counting) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// write makes the blob; the plain tar also goes to plain.
func (m *made) write(w, plain io.Writer) error {
	var z io.WriteCloser
	var err error
	switch {
	case m.kind == "tar+zstd":
		z, err = zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(8<<20))
	case m.dense:
		z, err = gzip.NewWriterLevel(w, gzip.NoCompression)
	default:
		z, err = gzip.NewWriterLevel(w, gzip.BestSpeed)
	}
	if err != nil {
		return err
	}
	t := tar.NewWriter(io.MultiWriter(z, plain))
	source := rand.NewChaCha8([32]byte{byte(m.seed)})
	body := make([]byte, 64<<10)
	for n := range m.files {
		name := fmt.Sprintf("made/%d/%d", m.seed, n)
		if err := t.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(m.size)}); err != nil {
			return err
		}
		for left := m.size; left > 0; {
			part := body[:min(left, len(body))]
			_, _ = source.Read(part)
			if !m.dense {
				copy(part[len(part)/8:], part) // an eighth is new
			}
			if _, err := t.Write(part); err != nil {
				return err
			}
			left -= len(part)
		}
	}
	return errors.Join(t.Close(), z.Close())
}

// serveMade is a registry with an image of such layers.
func serveMade(t *testing.T, layers []*made) (ref string) {
	t.Helper()
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Size      int64  `json:"size"`
		Digest    string `json:"digest"`
	}
	var described []descriptor
	var diffIDs []string
	blobs := map[string]*made{}
	for n, m := range layers {
		m.seed = uint64(n)
		sum, plain, length := sha256.New(), sha256.New(), &counting{}
		assert.NilError(t, m.write(io.MultiWriter(sum, length), plain))
		m.digest, m.diffID, m.length = fmt.Sprintf("sha256:%x", sum.Sum(nil)), fmt.Sprintf("sha256:%x", plain.Sum(nil)), length.n
		blobs[m.digest] = m
		described = append(described, descriptor{"application/vnd.oci.image.layer.v1." + m.kind, m.length, m.digest})
		diffIDs = append(diffIDs, m.diffID)
	}
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{}, "rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	assert.NilError(t, err)
	id := fmt.Sprintf("sha256:%x", sha256.Sum256(config))
	const kind = "application/vnd.oci.image.manifest.v1+json"
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": kind, "layers": described,
		"config": descriptor{"application/vnd.oci.image.config.v1+json", int64(len(config)), id},
	})
	assert.NilError(t, err)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, what, _ := strings.Cut(r.URL.Path, "/v2/made/")
		switch m := blobs[strings.TrimPrefix(what, "blobs/")]; {
		case m != nil:
			w.Header().Set("Content-Length", strconv.FormatInt(m.length, 10))
			_ = m.write(w, io.Discard) // who asked may be gone
		case strings.HasPrefix(what, "manifests/"):
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Length", strconv.Itoa(len(manifest)))
			w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256(manifest)))
			_, _ = w.Write(manifest)
		case what == "blobs/"+id:
			_, _ = w.Write(config)
		case r.URL.Path != "/v2/":
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://") + "/made:1"
}

// maxPullMB is how much memory the daemon may have during a pull, whatever is pulled.
const maxPullMB = 80

// The daemon needs the same few buffers for a pull, however large a layer is, how many there are, and how they are
// compressed. ENGINE_PULL_MB=1024 makes the images that large (a minute or two, and 3 GB of disk).
func TestPullsNeedLittleMemory(t *testing.T) {
	mb := 120 // more than the bar: a layer that is held in memory breaks it
	if text := os.Getenv("ENGINE_PULL_MB"); text != "" {
		var err error
		mb, err = strconv.Atoi(text)
		assert.NilError(t, err)
	}
	many := func(kind string, dense bool) (layers []*made) {
		for range 12 {
			layers = append(layers, &made{kind: kind, dense: dense, files: 20, size: mb << 20 / 12 / 20})
		}
		return layers
	}
	for _, c := range []struct {
		name   string
		layers []*made
	}{
		{"one layer that does not compress", []*made{{kind: "tar+gzip", dense: true, files: 1, size: mb << 20}}},
		{"one layer that does", []*made{{kind: "tar+gzip", files: 1, size: mb << 20}}},
		{"many layers of both kinds", append(many("tar+gzip", true)[:6], many("tar+gzip", false)[6:]...)},
		{"many layers of zstd", many("tar+zstd", false)},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := start(t)
			ref := serveMade(t, c.layers)
			status := fmt.Sprintf("/proc/%d/", e.Pid())
			assert.NilError(t, os.WriteFile(status+"clear_refs", []byte("5"), 0)) // the peak begins anew
			cmd := e.Command(e.cli, "pull", "-q", ref)
			cmd.Patience = 9 * time.Minute
			r, err := cmd.Run(context.Background())
			assert.NilError(t, err)
			assert.Equal(t, r.Code, 0, r.String())
			text, err := os.ReadFile(status + "status")
			assert.NilError(t, err)
			_, rest, ok := strings.Cut(string(text), "VmHWM:")
			assert.Assert(t, ok)
			peak, err := strconv.Atoi(strings.Fields(rest)[0])
			assert.NilError(t, err)
			t.Logf("peak: %.1f MB", float64(peak)/1024)
			assert.Assert(t, peak < maxPullMB<<10, "%d kB", peak)
		})
	}
}
