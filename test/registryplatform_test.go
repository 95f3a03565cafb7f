//go:build system

package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// An image that is there for another platform is pulled for the one that is
// asked for, unless nothing is to be pulled.
func TestRunPullsAnImageOfAnotherPlatform(t *testing.T) {
	e := startLoaded(t)
	host := startRegistry(t)
	layer := filepath.Join(t.TempDir(), "layer.tar")
	run(t, "tar", "-C", t.TempDir(), "-cf", layer, ".")
	e.must("import", "--platform", "linux/arm64", layer, host+"/multi:arm64")
	e.must("tag", "busybox", host+"/multi:"+"amd64")
	var entries []map[string]any
	for _, arch := range []string{"arm64", "amd64"} {
		ref := host + "/multi:" + arch
		e.must("push", "-q", ref)
		var m struct {
			Descriptor map[string]any
		}
		assert.NilError(t, e.JSON("GET", "/distribution/"+ref+"/json", nil, &m))
		m.Descriptor["platform"] = map[string]string{"os": "linux", "architecture": arch}
		entries = append(entries, m.Descriptor)
	}
	const kind = "application/vnd.docker.distribution.manifest.list.v2+json"
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": kind, "manifests": entries})
	assert.NilError(t, err)
	req, err := http.NewRequest(http.MethodPut, "http://"+host+"/v2/multi/manifests/all", bytes.NewReader(index))
	assert.NilError(t, err)
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	assert.NilError(t, err)
	resp.Body.Close()
	assert.Equal(t, resp.StatusCode, http.StatusCreated)

	all := host + "/multi:all"
	arch := func() string { return e.must("image", "inspect", "-f", "{{.Architecture}}", all) }
	e.must("pull", "-q", all)
	assert.Equal(t, arch(), "amd64")
	res := e.any("create", "--pull", "never", "--platform", "linux/arm64", all, "true")
	assert.Equal(t, res.Code, 1)
	assert.Assert(t, strings.Contains(res.Stderr, "was found but does not provide the specified platform (linux/arm64)"), res.Stderr)
	assert.Equal(t, arch(), "amd64")

	res = e.any("create", "--platform", "linux/arm64", all, "true")
	assert.Equal(t, res.Code, 0, res.String())
	assert.Assert(t, strings.HasPrefix(res.Stderr, fmt.Sprintf("Unable to find image '%s' locally\n", all)), res.Stderr)
	assert.Equal(t, arch(), "arm64")
	assert.Equal(t, e.must("run", "--rm", "--platform", "linux/amd64", all, "echo", "hello"), "hello")
	assert.Equal(t, arch(), "amd64")

	// What the registry has for one platform only is not used for another.
	one := host + "/multi:amd64"
	res = e.any("create", "--platform", "linux/arm64", one, "true")
	assert.Assert(t, res.Code != 0, res.String())
}
