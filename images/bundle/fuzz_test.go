package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/durable"
)

// FuzzImages feeds the documents of an archive. Whatever they are, an answer
// comes, and no file is made outside of the spool.
func FuzzImages(f *testing.F) {
	hex := digest.FromString("{}").Encoded()
	f.Add("manifest.json", `[{"Config":"c.json","RepoTags":["a:b"],"Layers":["l"]}]`, `{"rootfs":{"type":"layers","diff_ids":["sha256:`+hex+`"]}}`)
	f.Add("manifest.json", `[{"Config":"../c.json"},null]`, `null`)
	f.Add("index.json", `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:`+hex+`","size":2}]}`, `{}`)
	f.Add("index.json", `{"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:`+hex+`","size":2,"annotations":{"io.containerd.image.name":"x"}}]}`, `{}`)
	f.Add("repositories", `{"a":{"b":"`+hex+`"}}`, `{"parent":"`+hex+`"}`)
	f.Fuzz(func(t *testing.T, name, document, config string) {
		var buf bytes.Buffer
		tw := tar.NewWriter(&buf)
		for member, body := range map[string]string{
			name: document, "c.json": config, "l": "layer", hex + "/json": config, hex + "/layer.tar": "layer",
			"blobs/sha256/" + digest.FromString(config).Encoded(): config,
		} {
			if err := tw.WriteHeader(&tar.Header{Name: member, Size: int64(len(body)), Mode: 0o600, Typeflag: tar.TypeReg}); err != nil {
				return // not a name that a tar can have
			}
			_, _ = tw.Write([]byte(body))
		}
		tw.Close()
		dir := t.TempDir()
		sp, err := Read(context.Background(), durable.OS, filepath.Join(dir, "spool"), &buf, 1<<20)
		if err == nil {
			images, err := sp.Images(context.Background(), nil)
			if err == nil {
				assert.Assert(t, len(images) > 0)
			}
			assert.NilError(t, sp.Close())
		}
		entries, err := os.ReadDir(dir)
		assert.NilError(t, err)
		assert.Equal(t, len(entries), 0)
	})
}

// FuzzRead feeds whole archives.
func FuzzRead(f *testing.F) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	_ = tw.WriteHeader(&tar.Header{Name: "a/b", Size: 1, Mode: 0o600})
	_, _ = tw.Write([]byte("x"))
	_ = tw.WriteHeader(&tar.Header{Name: "ln", Typeflag: tar.TypeSymlink, Linkname: "../x"})
	tw.Close()
	f.Add(buf.Bytes())
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		sp, err := Read(context.Background(), durable.OS, filepath.Join(dir, "spool"), bytes.NewReader(data), 1<<20)
		if err == nil {
			assert.NilError(t, sp.Close())
		}
		entries, err := os.ReadDir(dir)
		assert.NilError(t, err)
		assert.Equal(t, len(entries), 0)
	})
}
