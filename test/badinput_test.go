//go:build system

package test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// canary is a folder on the host that no archive may touch.
type canary struct {
	dir    string
	before string
}

func newCanary(t *testing.T) *canary {
	c := &canary{dir: t.TempDir()}
	assert.NilError(t, os.WriteFile(c.dir+"/secret", []byte("canary"), 0o600))
	c.before = c.look(t)
	return c
}

// look describes all files of the canary, and whether some appeared in the
// places where hostile archives aim.
func (c *canary) look(t *testing.T) string {
	var all []string
	filepath.Walk(c.dir, func(path string, st os.FileInfo, err error) error {
		assert.NilError(t, err)
		body, _ := os.ReadFile(path)
		if st.IsDir() {
			all = append(all, fmt.Sprint(path, st.Mode()))
		} else {
			all = append(all, fmt.Sprint(path, st.Mode(), st.ModTime(), string(body)))
		}
		return nil
	})
	for _, path := range []string{"/PWNED", "/tmp/PWNED", "/etc/PWNED"} {
		if _, err := os.Lstat(path); err == nil {
			all = append(all, path+" exists")
		}
	}
	return strings.Join(all, "\n")
}

func (c *canary) unharmed(t *testing.T) {
	t.Helper()
	assert.Equal(t, c.look(t), c.before, "the host was changed")
}

// stored lists all that lies in the data root, but for what a store rewrites in
// place.
func (e *engine) stored() string {
	var all []string
	filepath.WalkDir(e.DataRoot, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			all = append(all, strings.TrimPrefix(path, e.DataRoot))
		}
		return nil
	})
	sort.Strings(all)
	return strings.Join(all, "\n")
}

// hostile layers: each either is refused, or unpacks inside its own root only.
func hostileLayers(aim string) map[string][]byte {
	up := strings.Repeat("../", 20)
	return map[string][]byte{
		"dot-dot in a name":          harness.Tar(harness.File(up+"tmp/PWNED", "x")),
		"an absolute name":           harness.Tar(harness.File("/tmp/PWNED", "x")),
		"dot-dot in the middle":      harness.Tar(harness.Dir("a"), harness.File("a/../"+up+"tmp/PWNED", "x")),
		"through a symlink":          harness.Tar(harness.Symlink("l", aim), harness.File("l/planted", "x")),
		"through a relative symlink": harness.Tar(harness.Symlink("l", up+aim[1:]), harness.File("l/planted", "x")),
		"over a symlink to a file":   harness.Tar(harness.Symlink("l", aim+"/secret"), harness.File("l", "overwritten")),
		"a hard link to the host":    harness.Tar(harness.Link("l", aim+"/secret"), harness.File("l", "overwritten")),
		"a hard link upwards":        harness.Tar(harness.Link("l", up+aim[1:]+"/secret")),
		"a hard link through a symlink": harness.Tar(harness.Symlink("d", aim), harness.Link("l", "d/secret"),
			harness.File("l", "overwritten")),
		"a folder becomes a symlink": harness.Tar(harness.Dir("d"), harness.Symlink("d", aim), harness.File("d/planted", "x")),
		"the root as a symlink":      harness.Tar(harness.Symlink(".", aim), harness.File("planted", "x")),
		"mode of the root":           harness.Tar(harness.Entry{Header: tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o4777}}),
		"a whiteout upwards":         harness.Tar(harness.File(up+aim[1:]+"/.wh.secret", "")),
		"a whiteout of dot-dot":      harness.Tar(harness.Dir("d"), harness.File("d/.wh...", "")),
		"a whiteout through a symlink": harness.Tar(harness.Symlink("l", aim), harness.File("l/.wh.secret", ""),
			harness.File("l/.wh..wh..opq", "")),
		"an opaque mark as a symlink": harness.Tar(harness.Symlink(".wh..wh..opq", aim+"/secret")),
	}
}

func TestHostileLayersStayInsideTheirRoot(t *testing.T) {
	c := newCanary(t)
	e := startLoaded(t)
	for name, layer := range hostileLayers(c.dir) {
		t.Run(name, func(t *testing.T) {
			before := e.stored()
			archive := harness.ImageArchive("evil:latest", [][]byte{layer}, nil)
			_, text, _, err := e.Do("POST", "/images/load?quiet=1", bytes.NewReader(archive))
			assert.NilError(t, err)
			c.unharmed(t)
			if strings.Contains(text, "errorDetail") {
				assert.Equal(t, e.stored(), before, "the refused load left something")
			} else if _, _, _, err := e.Do("DELETE", "/images/evil:latest?force=1", nil); err != nil {
				t.Fatal(err)
			}

			code, text, _, err := e.Do("POST", "/images/create?fromSrc=-&repo=evil&tag=import", bytes.NewReader(layer))
			assert.NilError(t, err)
			c.unharmed(t)
			if code < 300 && !strings.Contains(text, "errorDetail") {
				_, _, _, err = e.Do("DELETE", "/images/evil:import?force=1", nil)
				assert.NilError(t, err)
			}
			assert.Equal(t, e.must("run", "--rm", "busybox", "echo", "alive"), "alive")
		})
	}
}

func TestArchivesThatAreNotWhatTheySayAreRefused(t *testing.T) {
	c := newCanary(t)
	e := startLoaded(t)
	good, err := os.ReadFile(busybox)
	assert.NilError(t, err)
	layer := harness.Tar(harness.File("file", "x"))
	one := [][]byte{layer}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(good)
	z.Close()
	for name, archive := range map[string][]byte{
		"garbage":                      []byte("this is no archive at all"),
		"truncated":                    good[:len(good)/2],
		"truncated in a header":        good[:700],
		"a truncated gzip":             packed.Bytes()[:packed.Len()/2],
		"an empty tar":                 harness.Tar(),
		"no manifest":                  harness.Tar(harness.File("x", "y")),
		"a manifest that is no JSON":   harness.Tar(harness.File("manifest.json", "{")),
		"a manifest of another shape":  harness.Tar(harness.File("manifest.json", `{"a":1}`)),
		"a config path upwards":        harness.ImageArchive("evil:latest", one, func(p *harness.ImageParts) { p.Config = "../../../../../../etc/hostname" }),
		"a config that is absolute":    harness.Tar(harness.File("manifest.json", `[{"Config":"/etc/hostname","RepoTags":["evil:latest"],"Layers":[]}]`)),
		"a layer path upwards":         harness.ImageArchive("evil:latest", one, func(p *harness.ImageParts) { p.Layers[0] = "../../../../../../etc/hostname" }),
		"a layer that is missing":      harness.ImageArchive("evil:latest", one, func(p *harness.ImageParts) { p.Files = nil }),
		"a layer with another content": harness.ImageArchive("evil:latest", one, func(p *harness.ImageParts) { p.Files[0].Body = harness.Tar(harness.File("file", "y")) }),
		"more layers than diff ids": harness.ImageArchive("evil:latest", one, func(p *harness.ImageParts) {
			p.Layers = append(p.Layers, p.Layers[0])
		}),
		"a diff id that is a path": harness.ImageArchive("evil:latest", one, func(p *harness.ImageParts) {
			p.ConfigBody["rootfs"] = map[string]any{"type": "layers", "diff_ids": []string{"sha256:../../../../tmp/PWNED"}}
		}),
		"no root filesystem": harness.ImageArchive("evil:latest", one, func(p *harness.ImageParts) { delete(p.ConfigBody, "rootfs") }),
		"a bad name":         harness.ImageArchive("Evil Name", one, nil),
		"a link in the outer archive": harness.Tar(harness.Symlink("config.json", c.dir+"/secret"),
			harness.File("manifest.json", `[{"Config":"config.json","RepoTags":["evil:latest"],"Layers":[]}]`)),
		"a layer that is no tar": harness.ImageArchive("evil:latest", [][]byte{[]byte(strings.Repeat("no tar ", 200))}, nil),
		"a truncated layer":      harness.ImageArchive("evil:latest", [][]byte{good[:len(good)/3]}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			before := e.stored()
			code, text, _, err := e.Do("POST", "/images/load?quiet=1", bytes.NewReader(archive))
			assert.NilError(t, err)
			assert.Assert(t, code >= 400 || strings.Contains(text, `"errorDetail"`), "accepted: %d %s", code, text)
			assert.Assert(t, code != 500 || strings.Contains(text, `"message"`), "%d %s", code, text)
			c.unharmed(t)
			assert.Equal(t, e.stored(), before, "the refused load left something")
			assert.Equal(t, e.must("images", "--format", "{{.Repository}}:{{.Tag}}"), "busybox:latest")
		})
	}
}

func TestDeviceNodesOfAnImageCannotBeOpened(t *testing.T) {
	e := startLoaded(t)
	box, err := os.ReadFile("/bin/busybox")
	assert.NilError(t, err)
	program := harness.Entry{Header: tar.Header{Name: "busybox", Typeflag: tar.TypeReg, Mode: 0o755}, Body: box}
	layer := harness.Tar(program, harness.Device("disk", tar.TypeBlock, 254, 0), harness.Device("memory", tar.TypeChar, 1, 1))
	archive := harness.ImageArchive("devices:latest", [][]byte{layer}, nil)
	_, text, _, err := e.Do("POST", "/images/load?quiet=1", bytes.NewReader(archive))
	assert.NilError(t, err)
	if strings.Contains(text, "errorDetail") {
		return // refused: good as well
	}
	for _, node := range []string{"/disk", "/memory"} {
		res := e.any("run", "--rm", "devices", "/busybox", "head", "-c", "1", node)
		assert.Assert(t, res.Code != 0, "%s could be read: %s", node, res)
	}
}

// Where docker 20.10 answers 500 for what is the client's mistake, the engine
// says 400; newer dockers do too.
func TestBadRequestsAnswer400AndNameTheField(t *testing.T) {
	e := startLoaded(t)
	e.create("good", "true")
	for _, row := range []struct {
		method, path string
		body         any
		want         int
		text         string
	}{
		{"POST", "/containers/create", "{", 400, ""},
		{"POST", "/containers/create", "", 400, ""},
		{"POST", "/containers/create", "[]", 400, ""},
		{"POST", "/containers/create", `{"Image":5}`, 400, "Image"},
		{"POST", "/containers/create", `{"Image":"busybox","HostConfig":{"Memory":"much"}}`, 400, "Memory"},
		{"POST", "/containers/create", `{"Image":"busybox"} trailing`, 400, ""},
		{"POST", "/containers/good/stop?t=x", nil, 400, "t"},
		{"POST", "/containers/good/resize?h=x&w=1", nil, 400, "x"},
		{"GET", "/containers/json?limit=x", nil, 400, "limit"},
		{"GET", "/containers/json?filters=nonsense", nil, 400, "filter"},
		{"GET", "/containers/json?filters=%7B%22nonsense%22%3A%5B%22x%22%5D%7D", nil, 400, "nonsense"},
		{"GET", "/images/json?filters=%7B%22nonsense%22%3A%5B%22x%22%5D%7D", nil, 400, "nonsense"},
		{"POST", "/images/busybox/tag?repo=Bad", nil, 400, "lowercase"},
		{"POST", "/containers/create?name=" + strings.Repeat("x", 5000), `{"Image":"busybox"}`, 400, "name"},
		{"GET", "/nosuch", nil, 404, "page not found"},
		{"PUT", "/containers/json", nil, 404, "page not found"},
		{"GET", "bare:/v1.99/info", nil, 400, "1.99"},
		{"GET", "bare:/v1.2/info", nil, 400, "1.2"},
	} {
		t.Run(row.method+" "+row.path[:min(60, len(row.path))], func(t *testing.T) {
			code, text, header, err := e.Do(row.method, row.path, row.body)
			assert.NilError(t, err)
			assert.Equal(t, code, row.want, text)
			assert.Equal(t, header.Get("Content-Type"), "application/json")
			assert.Assert(t, strings.HasPrefix(text, `{"message":"`), text)
			assert.Assert(t, strings.Contains(text, row.text), "%q is not in %s", row.text, text)
		})
	}
}

func TestHugeBodiesAreCutOff(t *testing.T) {
	e := startLoaded(t)
	body := `{"Image":"busybox","Env":["A=` + strings.Repeat("x", 64<<20) + `"]}`
	code, _, _, err := e.Do("POST", "/containers/create", body)
	if err == nil {
		assert.Assert(t, code >= 400 && code < 500, "%d", code)
	}
	assert.Equal(t, e.must("ps", "-aq"), "")
}

func TestHugeHeadersAreRefused(t *testing.T) {
	e := start(t)
	code, _, _, err := e.Do("GET", "/info", nil, "X-Long", strings.Repeat("x", 4<<20))
	if err == nil {
		assert.Equal(t, code, http.StatusRequestHeaderFieldsTooLarge)
	}
	assert.NilError(t, e.JSON("GET", "/info", nil, nil))
}

func TestUnknownFlagsOfTheDaemonAreRefused(t *testing.T) {
	cli, err := harness.EngineCLI()
	assert.NilError(t, err)
	conf := filepath.Join(t.TempDir(), "daemon.json")
	for _, row := range []struct {
		name, config string
		args         []string
		text         string
	}{
		{"an unknown flag", "", []string{"--nosuch"}, "nosuch"},
		{"an unknown key", `{"nosuch": 1}`, nil, "nosuch"},
		{"no JSON", `{`, nil, conf},
		{"a key given twice", `{"debug": true}`, []string{"--debug"}, "debug"},
		{"an unknown log level", "", []string{"--log-level", "nonsense"}, "nonsense"},
		{"a relative root", "", []string{"--data-root", "relative"}, "relative"},
	} {
		t.Run(row.name, func(t *testing.T) {
			args := append([]string{"-d", "--validate"}, row.args...)
			if row.config != "" {
				assert.NilError(t, os.WriteFile(conf, []byte(row.config), 0o600))
				args = append(args, "--config-file", conf)
			}
			res, err := harness.Command{Path: cli.Path, Args: args}.Run(t.Context())
			assert.NilError(t, err)
			assert.Assert(t, res.Code != 0, res.String())
			assert.Assert(t, strings.Contains(res.Stderr, row.text), res.String())
		})
	}
}
