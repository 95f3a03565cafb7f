package images

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/jobs"
)

// canary makes a file outside of the data root that no archive may touch.
func canary(t *testing.T) (path string, check func()) {
	dir := t.TempDir()
	path = filepath.Join(dir, "canary")
	assert.NilError(t, os.WriteFile(path, []byte("sings"), 0o600))
	before, err := os.Stat(path)
	assert.NilError(t, err)
	return path, func() {
		t.Helper()
		after, err := os.Stat(path)
		assert.NilError(t, err)
		assert.Equal(t, after.Mode(), before.Mode())
		assert.Equal(t, after.ModTime(), before.ModTime())
		assert.Equal(t, after.Sys(), after.Sys())
		assertFile(t, dir, "canary", "sings")
		entries, err := os.ReadDir(dir)
		assert.NilError(t, err)
		assert.Equal(t, len(entries), 1)
	}
}

// Layers that try to leave their root: refused, or harmless, and nothing is left of those refused.
func TestHostileLayers(t *testing.T) {
	for driver, open := range drivers(t) {
		target, check := canary(t)
		dir := filepath.Dir(target)
		climb := strings.Repeat("../", 40)
		for name, row := range map[string]struct {
			layer []byte
			error string // "" is harmless
		}{
			"dotdot":                  {makeTar(t, entry{name: climb + target[1:], body: "x"}), "leaves its root"},
			"absolute":                {makeTar(t, entry{name: target, body: "x"}), ""},
			"symlink then below":      {makeTar(t, entry{name: "ln", kind: tar.TypeSymlink, link: dir}, entry{name: "ln/canary", body: "x"}), ""},
			"symlink to the file":     {makeTar(t, entry{name: "ln", kind: tar.TypeSymlink, link: target}, entry{name: "ln", body: "x"}), ""},
			"relative symlink":        {makeTar(t, entry{name: "ln", kind: tar.TypeSymlink, link: climb + dir[1:]}, entry{name: "ln/canary", body: "x"}), ""},
			"hard link out":           {makeTar(t, entry{name: "hl", kind: tar.TypeLink, link: climb + target[1:]}), "hl"},
			"hard link absolute":      {makeTar(t, entry{name: "hl", kind: tar.TypeLink, link: target}), "hl"},
			"hard link by symlink":    {makeTar(t, entry{name: "ln", kind: tar.TypeSymlink, link: dir}, entry{name: "hl", kind: tar.TypeLink, link: "ln/canary"}), "hl"},
			"root is a symlink":       {makeTar(t, entry{name: ".", kind: tar.TypeSymlink, link: dir}, entry{name: "canary", body: "x"}), "."},
			"whiteout of the outside": {makeTar(t, entry{name: climb + dir[1:] + "/.wh.canary"}), "leaves its root"},
			"whiteout of dotdot":      {makeTar(t, entry{name: "a/.wh.."}), ""},
			"cut off":                 {layerTar(t, "a", "b")[:518], "cut off"},
			"lying size":              {makeTar(t, entry{name: "a", body: "x", size: 1 << 40}), "cut off"},
			"garbage":                 {bytes.Repeat([]byte("garbage!"), 200), "not a tar"},
		} {
			t.Run(driver+"/"+name, func(t *testing.T) {
				b := openBench(t, t.TempDir(), open, nil)
				b.mustLoad(dockerArchive(t, spec{tags: []string{"good:1"}, layers: [][]byte{layerTar(t, "a")}}))
				before := b.files()
				s := spec{tags: []string{"evil:1"}, layers: [][]byte{layerTar(t, "a"), row.layer}}
				_, err := b.load(dockerArchive(t, s))
				check()
				if err == nil {
					assert.Assert(t, row.error == "" || name == "whiteout of dotdot", "it was accepted")
					_, err = b.rm(jobs.ImageDeleteIn{Image: "evil:1"})
					assert.NilError(t, err)
				} else {
					assert.ErrorContains(t, err, row.error)
				}
				assert.DeepEqual(t, b.files(), before)
				check()
				// The same through the other door.
				in := jobs.ImportIn{Source: "-", Repository: "evil"}
				out, err := jobs.Import.Run(ctx, b.eng, in, nil, stdin(row.layer))
				if err == nil {
					_, err = b.rm(jobs.ImageDeleteIn{Image: out.ID})
					assert.NilError(t, err)
				}
				check()
				assert.DeepEqual(t, b.files(), before)
			})
		}
	}
}

// Archives that are not what they say: refused with a text that names what is
// wrong, and nothing of them is left.
func TestHostileArchives(t *testing.T) {
	good := spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "a"), layerTar(t, "b")}}
	config := string(good.configJSON(t))
	hex := digest.FromString(config).Encoded()
	a, bb := string(good.layers[0]), string(good.layers[1])
	manifest := func(change func(m map[string]any)) string {
		m := map[string]any{"Config": hex + ".json", "RepoTags": []string{"web:1"}, "Layers": []string{"a.tar", "b.tar"}}
		if change != nil {
			change(m)
		}
		data, err := json.Marshal([]any{m})
		assert.NilError(t, err)
		return string(data)
	}
	members := func(m string, more ...entry) []byte {
		all := []entry{{name: "a.tar", body: a}, {name: "b.tar", body: bb}, {name: hex + ".json", body: config}, {name: "manifest.json", body: m}}
		return makeTar(t, append(all, more...)...)
	}
	configOf := func(text string) []byte {
		return makeTar(t, entry{name: "a.tar", body: a}, entry{name: "c.json", body: text},
			entry{name: "manifest.json", body: `[{"Config":"c.json","Layers":["a.tar"]}]`})
	}
	whole := dockerArchive(t, good)
	target, check := canary(t)

	for name, row := range map[string]struct {
		archive []byte
		error   string
	}{
		"no archive":               {[]byte("garbage"), "cut off"},
		"long garbage":             {bytes.Repeat([]byte("garbage!"), 1000), "not a tar"},
		"empty":                    {nil, "not an image archive"},
		"empty tar":                {makeTar(t), "not an image archive"},
		"cut off":                  {whole[:len(whole)/2], `cut off at or after member "0-1/layer.tar"`},
		"gzip cut off":             {gz(whole)[:400], "cut off"},
		"damaged gzip":             {append(gz(whole)[:300], make([]byte, 3000)...), "0"},
		"lying size":               {makeTar(t, entry{name: "a.tar", body: "x", size: 1 << 30}), `cut off at or after member "a.tar"`},
		"beyond the limit":         {makeTar(t, entry{name: "a.tar", body: "x", size: 1 << 50}), `"a.tar"`},
		"dotdot":                   {makeTar(t, entry{name: "../../x", body: "x"}), "leaves its root"},
		"absolute":                 {makeTar(t, entry{name: target, body: "x"}), "leaves its root"},
		"link out":                 {makeTar(t, entry{name: "a.tar", kind: tar.TypeSymlink, link: "../../etc/passwd"}), `"a.tar" is a link that leads out of the archive`},
		"absolute link":            {makeTar(t, entry{name: "a.tar", kind: tar.TypeSymlink, link: target}), `"a.tar" is a link that leads out of the archive`},
		"hard link out":            {makeTar(t, entry{name: "a.tar", kind: tar.TypeLink, link: "../x"}), `"a.tar" is a link that leads out of the archive`},
		"device":                   {makeTar(t, entry{name: "a.tar", kind: tar.TypeBlock}), `"a.tar" is not a file`},
		"fifo":                     {makeTar(t, entry{name: "a.tar", kind: tar.TypeFifo}), `"a.tar" is not a file`},
		"links in a circle":        {makeTar(t, entry{name: "manifest.json", kind: tar.TypeSymlink, link: "x"}, entry{name: "x", kind: tar.TypeSymlink, link: "manifest.json"}), "not an image archive"},
		"two manifests":            {members(manifest(nil), entry{name: "./manifest.json", body: "[]"}), `"manifest.json" is there twice`},
		"huge manifest":            {members("[" + strings.Repeat(" ", 5<<20) + "]"), `"manifest.json" of `},
		"manifest cut off":         {members(`[{"Config":`), "invalid manifest.json"},
		"manifest is an object":    {members(`{}`), "invalid manifest.json"},
		"manifest lists nothing":   {members(`[]`), "it lists no image"},
		"manifest is null":         {members(`null`), "invalid manifest.json"},
		"null in the manifest":     {members(`[null]`), "no such file"},
		"trailing data":            {members(manifest(nil) + "x"), "invalid manifest.json"},
		"key twice":                {members(`[{"Config":"c","Config":"d"}]`), `key "Config" is given twice`},
		"key twice in other case":  {members(`[{"Config":"c","config":"d"}]`), `key "config" is given twice`},
		"config outside":           {members(manifest(func(m map[string]any) { m["Config"] = "../../etc/x" })), "leaves its root"},
		"config is missing":        {members(manifest(func(m map[string]any) { m["Config"] = "none.json" })), `"none.json": no such file`},
		"config is a layer":        {members(manifest(func(m map[string]any) { m["Config"] = "a.tar" })), "invalid image config"},
		"config of another digest": {makeTar(t, entry{name: hex + ".json", body: config + " "}, entry{name: "manifest.json", body: manifest(nil)}), "does not have the digest that is its name"},
		"layer outside":            {members(manifest(func(m map[string]any) { m["Layers"] = []string{"/etc/passwd", "b.tar"} })), "leaves its root"},
		"layer is missing":         {members(manifest(func(m map[string]any) { m["Layers"] = []string{"a.tar", "c.tar"} })), `"c.tar": no such file`},
		"too few layers":           {members(manifest(func(m map[string]any) { m["Layers"] = []string{"a.tar"} })), "layers length mismatch: expected 1, got 2"},
		"layers swapped":           {members(manifest(func(m map[string]any) { m["Layers"] = []string{"b.tar", "a.tar"} })), "invalid diffID for layer 0"},
		"bad tag":                  {members(manifest(func(m map[string]any) { m["RepoTags"] = []string{"UPPER:x"} })), "must be lowercase"},
		"no tag":                   {members(manifest(func(m map[string]any) { m["RepoTags"] = []string{"web"} })), `invalid tag "web"`},
		"tag that climbs":          {members(manifest(func(m map[string]any) { m["RepoTags"] = []string{"../../x:y"} })), "invalid reference format"},
		"empty config":             {configOf(``), "invalid image config"},
		"config is null":           {configOf(`null`), "layers length mismatch"},
		"rootfs is null":           {configOf(`{"rootfs":null}`), "layers length mismatch"},
		"diff id is a path":        {configOf(`{"rootfs":{"type":"layers","diff_ids":["sha256:../../../x"]}}`), "is not a SHA-256 diff id"},
		"diff id of another kind":  {configOf(`{"rootfs":{"type":"layers","diff_ids":["sha512:` + strings.Repeat("a", 128) + `"]}}`), "is not a SHA-256 diff id"},
		"diff ids are null":        {configOf(`{"rootfs":{"type":"layers","diff_ids":[null]}}`), "is not a SHA-256 diff id"},
		"rootfs of another type":   {configOf(fmt.Sprintf(`{"rootfs":{"type":"x","diff_ids":["%s"]}}`, digest.FromString(a))), `rootfs type is "x"`},
		"two configs":              {configOf(fmt.Sprintf(`{"config":{},"Config":{},"rootfs":{"type":"layers","diff_ids":["%s"]}}`, digest.FromString(a))), `key "Config" is given twice`},
		"deep config":              {configOf(`{"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`), "archive"},
		"repositories climb":       {makeTar(t, entry{name: "repositories", body: `{"web":{"1":"../../x"}}`}), `"../../x" is not an id of a layer`},
		"repositories without end": {makeTar(t, entry{name: "repositories", body: `{"web":{"1":"` + hex + `"}}`}, entry{name: hex + "/json", body: `{"parent":"` + hex + `"}`}, entry{name: hex + "/layer.tar", body: a}), "no end of parents"},
		"repositories, no layer":   {makeTar(t, entry{name: "repositories", body: `{"web":{"1":"` + hex + `"}}`}), "no such file"},
		"repositories are a list":  {makeTar(t, entry{name: "repositories", body: `[]`}), "invalid repositories"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.mustLoad(dockerArchive(t, spec{tags: []string{"old:1"}, layers: [][]byte{layerTar(t, "z")}}))
			b.events.take()
			before := b.files()
			out, err := b.load(row.archive)
			if name == "deep config" {
				assert.Assert(t, err != nil)
			} else {
				assert.ErrorContains(t, err, row.error)
			}
			assert.Equal(t, out, "")
			assert.Equal(t, len(b.events.take()), 0)
			assert.DeepEqual(t, b.files(), before)
			assert.DeepEqual(t, b.list(jobs.ImagesIn{All: true}), []string{"[old:1]"})
			check()
		})
	}
}

// What an image's config says about privileges says nothing.
func TestOddConfigsDoNoHarm(t *testing.T) {
	layer := layerTar(t, "a")
	for name, more := range map[string]string{
		"privileges":            `"HostConfig":{"Privileged":true},"Privileged":true,"SecurityOpt":["x"],"Runtime":"/bin/sh"`,
		"nulls":                 `"config":null,"history":null,"created":null,"container_config":null`,
		"empty history entries": `"history":[null,{},{"created":null}]`,
		"no history":            `"history":[]`,
	} {
		t.Run(name, func(t *testing.T) {
			config := fmt.Sprintf(`{%s,"rootfs":{"type":"layers","diff_ids":["%s"]}}`, more, digest.FromBytes(layer))
			b := newBench(t)
			b.mustLoad(makeTar(t, entry{name: "a.tar", body: string(layer)}, entry{name: "c.json", body: config},
				entry{name: "manifest.json", body: `[{"Config":"c.json","RepoTags":["odd:1"],"Layers":["a.tar"]}]`}))
			b.list(jobs.ImagesIn{All: true})
			got, err := jobs.ImageInspect.Run(ctx, b.eng, jobs.ImageInspectIn{Image: "odd:1"})
			assert.NilError(t, err)
			data, err := json.Marshal(got)
			assert.NilError(t, err)
			assert.Assert(t, !bytes.Contains(data, []byte("rivileged")), "%s", data)
			_, err = jobs.History.Run(ctx, b.eng, jobs.HistoryIn{Image: "odd:1"})
			if name == "empty history entries" {
				assert.ErrorContains(t, err, "more steps with files in its history than layers")
			} else {
				assert.NilError(t, err)
			}
			assert.Equal(t, b.reopen(drivers(t)["vfs"]).log.String(), "")
		})
	}
}

func TestImportRefusesATarWithoutAnEnd(t *testing.T) {
	b := newBench(t)
	before := b.files()
	whole := layerTar(t, "a", "b")
	for _, cut := range []int{512, 1024, 1100, 1536, 2048} {
		for _, data := range [][]byte{whole[:cut], gz(whole[:cut])} {
			_, err := jobs.Import.Run(ctx, b.eng, jobs.ImportIn{Source: "-"}, nil, stdin(data))
			assert.ErrorContains(t, err, "cut off", "after %d", cut)
			assert.DeepEqual(t, b.files(), before)
		}
	}
	b.mustImport(whole[:2048+512], "short", "") // one block of zeros will do
}

func TestALayerBeyondTheLimitIsRefusedAndGone(t *testing.T) {
	for name, open := range drivers(t) {
		t.Run(name, func(t *testing.T) {
			b := openBench(t, t.TempDir(), open, func(c *Config) { c.MaxLayerBytes = 1 << 20 })
			before := b.files()
			bomb := gz(makeTar(t, entry{name: "zeros", body: strings.Repeat("\x00", 8<<20)}))
			config := fmt.Sprintf(`{"rootfs":{"type":"layers","diff_ids":["%s"]}}`, digest.FromString("whatever"))
			_, err := b.load(makeTar(t, entry{name: "a.tar", body: string(bomb)}, entry{name: "c.json", body: config},
				entry{name: "manifest.json", body: `[{"Config":"c.json","RepoTags":["bomb:1"],"Layers":["a.tar"]}]`}))
			assert.ErrorContains(t, err, "beyond the limit")
			assert.DeepEqual(t, b.files(), before)
			_, err = jobs.Import.Run(ctx, b.eng, jobs.ImportIn{Source: "-"}, nil, stdin(bomb))
			assert.ErrorContains(t, err, "beyond the limit")
			assert.DeepEqual(t, b.files(), before)
		})
	}
	b := openBench(t, t.TempDir(), drivers(t)["vfs"], func(c *Config) { c.MaxArchiveBytes = 1 << 20 })
	before := b.files()
	_, err := b.load(gz(makeTar(t, entry{name: "a.tar", body: strings.Repeat("\x00", 8<<20)})))
	assert.ErrorContains(t, err, "beyond the limit")
	assert.DeepEqual(t, b.files(), before)
}
