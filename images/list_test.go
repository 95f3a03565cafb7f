package images

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/graphdriver/vfs"
	"github.com/jobengine/engine/internal/filters"
	"github.com/jobengine/engine/jobs"
)

func TestListFilters(t *testing.T) {
	b := newBench(t)
	at := func(when string, labels map[string]string) func(map[string]any) {
		return func(c map[string]any) {
			c["created"] = when
			c["config"] = map[string]any{"Labels": labels}
		}
	}
	b.mustLoad(dockerArchive(t,
		spec{tags: []string{"old:1", "quay.io/x/old:2"}, layers: [][]byte{layerTar(t, "a")}, config: at("2020-01-01T00:00:00Z", map[string]string{"color": "red"})},
		spec{tags: []string{"mid:1"}, layers: [][]byte{layerTar(t, "b")}, config: at("2021-01-01T00:00:00Z", map[string]string{"color": "blue", "shape": "round"})},
		spec{tags: []string{"new:1"}, layers: [][]byte{layerTar(t, "c")}, config: at("2022-01-01T00:00:00Z", nil)},
		spec{layers: [][]byte{layerTar(t, "d")}, config: at("2023-01-01T00:00:00Z", nil)}))

	for _, row := range []struct {
		args filters.Args
		want []string
	}{
		{nil, []string{"[]", "[new:1]", "[mid:1]", "[old:1 quay.io/x/old:2]"}},
		{filters.Args{"dangling": {"true"}}, []string{"[]"}},
		{filters.Args{"dangling": {"false"}}, []string{"[new:1]", "[mid:1]", "[old:1 quay.io/x/old:2]"}},
		{filters.Args{"reference": {"old"}}, []string{"[old:1]"}},
		{filters.Args{"reference": {"old:*", "mid"}}, []string{"[mid:1]", "[old:1]"}},
		{filters.Args{"reference": {"*/*/*"}}, []string{"[quay.io/x/old:2]"}},
		{filters.Args{"reference": {"nosuch"}}, nil},
		{filters.Args{"before": {"mid:1"}}, []string{"[old:1 quay.io/x/old:2]"}},
		{filters.Args{"since": {"mid:1"}}, []string{"[]", "[new:1]"}},
		{filters.Args{"since": {"old:1"}, "before": {"new:1"}}, []string{"[mid:1]"}},
		{filters.Args{"until": {"2021-06-01"}}, []string{"[mid:1]", "[old:1 quay.io/x/old:2]"}},
		{filters.Args{"until": {"1622505600.5"}}, []string{"[mid:1]", "[old:1 quay.io/x/old:2]"}},
		{filters.Args{"until": {"1h"}}, []string{"[]", "[new:1]", "[mid:1]", "[old:1 quay.io/x/old:2]"}},
		{filters.Args{"label": {"color"}}, []string{"[mid:1]", "[old:1 quay.io/x/old:2]"}},
		{filters.Args{"label": {"color=red"}}, []string{"[old:1 quay.io/x/old:2]"}},
		{filters.Args{"label": {"color", "shape=round"}}, []string{"[mid:1]"}},
		{filters.Args{"label!": {"color"}}, []string{"[]", "[new:1]"}},
	} {
		assert.DeepEqual(t, b.list(jobs.ImagesIn{Filters: row.args}), row.want)
	}
	for _, args := range []filters.Args{{"nonsense": {"1"}}, {"dangling": {"maybe"}}, {"reference": {"["}}, {"until": {"yesterday"}}} {
		_, err := jobs.Images.Run(ctx, b.eng, jobs.ImagesIn{Filters: args})
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%v: %v", args, err)
	}
	_, err := jobs.Images.Run(ctx, b.eng, jobs.ImagesIn{Filters: filters.Args{"before": {"nosuch"}}})
	assert.Error(t, err, "No such image: nosuch:latest")
}

func TestListCountsContainers(t *testing.T) {
	b := newBench(t)
	s := spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "a")}}
	b.mustLoad(dockerArchive(t, s))
	b.users.set(s.id(t), Use{ID: "a"}, Use{ID: "b", Running: true})
	out, err := jobs.Images.Run(ctx, b.eng, jobs.ImagesIn{})
	assert.NilError(t, err)
	assert.Equal(t, out.Images[0].Containers, int64(2))
}

func TestImportFromAURL(t *testing.T) {
	body := gz(layerTar(t, "a"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/rootfs.tar.gz":
			_, _ = w.Write(body)
		case "/short":
			w.Header().Set("Content-Length", "1000000")
			_, _ = w.Write(body[:50])
		case "/garbage":
			_, _ = w.Write([]byte("garbage"))
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	b := newBench(t)
	before := b.files()
	run := func(source string) (string, error) {
		var out strings.Builder
		_, err := jobs.Import.Run(ctx, b.eng, jobs.ImportIn{Source: source, Repository: "web"}, nil, engine.Stdout(&out))
		return out.String(), err
	}
	for source, text := range map[string]string{
		server.URL + "/nosuch":  "answered 404",
		server.URL + "/short":   "",
		server.URL + "/garbage": "cut off",
		"ftp://127.0.0.1/x":     "only http and https",
		"file:///etc/passwd":    "only http and https",
		"http://%zz":            "invalid URL",
	} {
		_, err := run(source)
		assert.ErrorContains(t, err, text)
		assert.DeepEqual(t, b.files(), before)
	}
	_, err := run("http://127.0.0.1:1/x.tar")
	var op *net.OpError
	assert.Assert(t, errors.As(err, &op), "%v", err)

	out, err := run(strings.TrimPrefix(server.URL, "http://") + "/rootfs.tar.gz")
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(out, `{"status":"Downloading from `+server.URL), out)
	assert.Assert(t, strings.Contains(out, `"status":"Importing"`), out)
	got, err := jobs.ImageInspect.Run(ctx, b.eng, jobs.ImageInspectIn{Image: "web"})
	assert.NilError(t, err)
	assert.Assert(t, strings.HasPrefix(got.Comment, "Imported from "), got.Comment)
}

func TestImportRefusesBadInput(t *testing.T) {
	b := newBench(t)
	before := b.files()
	for text, in := range map[string]jobs.ImportIn{
		"must be lowercase":               {Repository: "UPPER"},
		"invalid tag format":              {Repository: "web", Tag: "b~d"},
		"cannot import digest reference":  {Repository: "x@sha256:" + strings.Repeat("a", 64)},
		"run is not a valid change":       {Changes: []string{"RUN ls"}},
		"operating system is not":         {Platform: "windows/amd64"},
		"cannot parse platform specifier": {Platform: "foo/bar/baz/q"},
	} {
		in.Source = "-"
		_, err := jobs.Import.Run(ctx, b.eng, in, nil, stdin(layerTar(t, "a")))
		assert.ErrorContains(t, err, text)
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%v", err)
		assert.DeepEqual(t, b.files(), before)
	}
}

func TestImportTakesAPlatform(t *testing.T) {
	b := newBench(t)
	_, err := jobs.Import.Run(ctx, b.eng, jobs.ImportIn{Source: "-", Repository: "arm", Platform: "linux/arm64"}, nil, stdin(layerTar(t, "a")))
	assert.NilError(t, err)
	got, err := jobs.ImageInspect.Run(ctx, b.eng, jobs.ImageInspectIn{Image: "arm"})
	assert.NilError(t, err)
	assert.Equal(t, got.Architecture, "arm64")
	assert.Assert(t, time.Since(got.Metadata.LastTagTime) < time.Hour)
}

func BenchmarkListOfAThousandImages(b *testing.B) {
	bench := openBench(b, b.TempDir(), vfs.New, nil)
	var specs []spec
	layer := layerTar(b, "a")
	for n := range 1000 {
		specs = append(specs, spec{tags: []string{fmt.Sprintf("quay.io/some/image%d:latest", n)}, layers: [][]byte{layer}, config: func(c map[string]any) { c["n"] = n }})
	}
	bench.mustLoad(dockerArchive(b, specs...))
	for b.Loop() {
		bench.list(jobs.ImagesIn{})
	}
}

func BenchmarkLookupAndParent(b *testing.B) {
	bench := openBench(b, b.TempDir(), vfs.New, nil)
	bench.mustLoad(dockerArchive(b, spec{tags: []string{"web:latest"}, layers: [][]byte{layerTar(b, "a")}}))
	for b.Loop() {
		img, err := bench.Lookup(ctx, "web", "")
		assert.NilError(b, err)
		_, err = bench.Parent(ctx, img.ID)
		assert.NilError(b, err)
	}
}

// What images take is told by what is written down of their layers.
func TestDiskUsageCountsSharedLayersOnce(t *testing.T) {
	b := newBench(t)
	base, one, two := layerTar(t, "base"), layerTar(t, "one"), layerTar(t, "two")
	b.mustLoad(dockerArchive(t,
		spec{tags: []string{"one:1"}, layers: [][]byte{base, one}},
		spec{tags: []string{"two:1"}, layers: [][]byte{base, two}},
		spec{tags: []string{"three:1"}, layers: [][]byte{layerTar(t, "three")}}))
	img, err := b.Lookup(t.Context(), "one:1", "")
	assert.NilError(t, err)
	b.users.set(img.ID, Use{ID: "user"})

	usage, err := b.DiskUsage(t.Context())
	assert.NilError(t, err)
	var layers int64
	for _, row := range usage.Items {
		layers += row.Size
		switch {
		case row.RepoTags[0] == "three:1":
			assert.Equal(t, row.SharedSize, int64(0))
		default:
			assert.Assert(t, row.SharedSize > 0 && row.SharedSize < row.Size)
		}
	}
	shared := usage.Items[0].SharedSize + usage.Items[1].SharedSize + usage.Items[2].SharedSize
	assert.Equal(t, usage.TotalSize, layers-shared/2) // the shared one is there once
	assert.Equal(t, usage.TotalCount, int64(3))
	assert.Equal(t, usage.ActiveCount, int64(1))
	for _, row := range usage.Items {
		if row.RepoTags[0] == "one:1" {
			assert.Equal(t, usage.Reclaimable, usage.TotalSize-(row.Size-row.SharedSize))
		}
	}

	// The layers of what is gone are not counted, and nothing is shared any more.
	_, err = b.rm(jobs.ImageDeleteIn{Image: "two:1"})
	assert.NilError(t, err)
	usage, err = b.DiskUsage(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, usage.TotalCount, int64(2))
	assert.Equal(t, usage.Items[0].SharedSize+usage.Items[1].SharedSize, int64(0))
	assert.Equal(t, usage.TotalSize, usage.Items[0].Size+usage.Items[1].Size)
}
