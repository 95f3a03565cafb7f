//go:build system

package test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// severalPlatforms is an OCI layout whose one entry is an index of images for
// linux on those architectures; ids are theirs.
func severalPlatforms(name string, archs ...string) (archive []byte, ids map[string]string) {
	ids = map[string]string{}
	var files []harness.Entry
	blob := func(mediaType, body string) map[string]any {
		files = append(files, harness.File("blobs/sha256/"+harness.Digest([]byte(body)), body))
		return map[string]any{"mediaType": mediaType, "digest": "sha256:" + harness.Digest([]byte(body)), "size": len(body)}
	}
	document := func(mediaType string, v map[string]any) map[string]any {
		v["schemaVersion"], v["mediaType"] = 2, mediaType
		body, _ := json.Marshal(v)
		return blob(mediaType, string(body))
	}
	const oci = "application/vnd.oci.image."
	var manifests []any
	for _, arch := range archs {
		layer := string(harness.Tar(harness.File("arch", arch)))
		config, _ := json.Marshal(map[string]any{
			"architecture": arch, "os": "linux", "config": map[string]any{"Cmd": []string{"sh"}},
			"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + harness.Digest([]byte(layer))}},
			"history": []any{map[string]any{"created_by": "for " + arch}},
		})
		ids[arch] = "sha256:" + harness.Digest(config)
		m := document(oci+"manifest.v1+json", map[string]any{
			"config": blob(oci+"config.v1+json", string(config)), "layers": []any{blob(oci+"layer.v1.tar", layer)},
		})
		m["platform"] = map[string]any{"os": "linux", "architecture": arch}
		manifests = append(manifests, m)
	}
	entry := document(oci+"index.v1+json", map[string]any{"manifests": manifests})
	entry["annotations"] = map[string]any{"io.containerd.image.name": "docker.io/library/" + name}
	index, _ := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{entry}})
	files = append(files, harness.File("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), harness.File("index.json", string(index)))
	return harness.Tar(files...), ids
}

// An archive for two platforms, by the client and by the API of every age.
func TestArchivesOfSeveralPlatforms(t *testing.T) {
	here, other := runtime.GOARCH, "arm64"
	if here == other {
		other = "amd64"
	}
	archive, ids := severalPlatforms("multi:1", other, here)
	file := filepath.Join(t.TempDir(), "multi.tar")
	assert.NilError(t, os.WriteFile(file, archive, 0o600))
	e := start(t)
	idFor := func(platform string) string {
		return e.must("image", "inspect", "--platform", "linux/"+platform, "-f", "{{.Id}}", "multi:1")
	}
	refused := func(want string, args ...string) {
		t.Helper()
		res := e.any(args...)
		assert.Equal(t, res.Code, 1, "%v: %s", args, res)
		assert.Assert(t, strings.Contains(res.Stderr, want), "%v: %s", args, res)
	}
	absent := "image with reference multi:1 was found but does not provide the specified platform (linux/s390x)"

	assert.Equal(t, e.must("load", "-i", file), "Loaded image: multi:1")
	assert.Equal(t, idFor(here), ids[here])
	refused("does not provide the specified platform (linux/"+other+")", "image", "inspect", "--platform", "linux/"+other, "multi:1")
	e.must("rmi", "multi:1")

	assert.Equal(t, e.must("load", "-i", file, "--platform", "linux/"+other), "Loaded image: multi:1")
	assert.Equal(t, e.must("image", "inspect", "-f", "{{.Id}}", "multi:1"), ids[other])
	e.must("rmi", "multi:1")

	assert.Equal(t, e.must("load", "-i", file, "--platform", "linux/"+other+",linux/"+here), "Loaded image: multi:1")
	assert.Equal(t, e.must("image", "inspect", "-f", "{{.Id}}", "multi:1"), ids[here])
	assert.Equal(t, idFor(other), ids[other])
	assert.Equal(t, e.must("images", "-q", "--no-trunc"), ids[here])
	assert.Equal(t, e.must("history", "--platform", "linux/"+other, "--format", "{{.CreatedBy}}", "multi:1"), "for "+other)
	refused("archive has no image for the platform linux/s390x", "load", "-i", file, "--platform", "linux/"+here+",linux/s390x")
	refused(absent, "history", "--platform", "linux/s390x", "multi:1")
	refused(absent, "image", "inspect", "--platform", "linux/s390x", "multi:1")

	saved := filepath.Join(t.TempDir(), "saved.tar")
	refused(absent, "save", "--platform", "linux/s390x", "-o", saved, "multi:1")
	_, err := os.Stat(saved)
	assert.Assert(t, os.IsNotExist(err), "%v", err)
	e.must("save", "--platform", "linux/"+here+",linux/"+other, "-o", saved, "multi:1")
	id := e.must("create", "--platform", "linux/"+other, "multi:1")
	assert.Equal(t, e.must("inspect", "-f", "{{.Image}}", id), ids[other])
	refused("is being used by stopped container", "rmi", "--platform", "linux/"+other, "multi:1")
	e.must("rm", id)
	e.must("rmi", "--platform", "linux/"+other, "multi:1")
	refused("does not provide the specified platform", "save", "--platform", "linux/"+other, "-o", saved+"2", "multi:1")
	e.must("rmi", "multi:1")
	assert.Equal(t, e.must("images", "-aq"), "")

	// Both again, from what was saved, and the API of every age.
	e.must("load", "-i", saved, "--platform", "linux/"+here, "--platform", "linux/"+other)
	assert.Equal(t, idFor(other), ids[other])
	one := "platform=" + url.QueryEscape(fmt.Sprintf(`{"os":"linux","architecture":%q}`, other))
	for _, row := range []struct {
		path string
		code int
		want string
	}{
		{"/v1.48/images/multi:1/json?" + one, 200, `"Id":"` + ids[here]},
		{"/v1.49/images/multi:1/json?" + one, 200, `"Id":"` + ids[other]},
		{"/v1.47/images/multi:1/history?" + one, 200, "for " + here},
		{"/v1.48/images/multi:1/history?" + one, 200, "for " + other},
		{"/v1.51/images/get?names=multi:1&" + one + "&" + one, 400, "multiple platform parameters are not supported in this API version; use API version 1.52 or later"},
	} {
		code, text, _, err := e.Do("GET", "bare:"+row.path, nil)
		assert.NilError(t, err)
		assert.Equal(t, code, row.code, "%s: %s", row.path, text)
		assert.Assert(t, strings.Contains(text, row.want), "%s: %s", row.path, text)
	}
	// The daemon after it knows what is beside what, and the last tag takes all along.
	assert.NilError(t, e.Stop())
	assert.NilError(t, e.Start())
	assert.Equal(t, idFor(other), ids[other])
	e.must("rmi", "multi:1")
	assert.Equal(t, e.must("images", "-aq"), "")
}
