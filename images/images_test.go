package images

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/graphdriver/overlay2"
	"github.com/jobengine/engine/graphdriver/vfs"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/filters"
	"github.com/jobengine/engine/jobs"
)

var ctx = context.Background()

func TestLoadListsAnImageThatSurvivesARestart(t *testing.T) {
	b := newBench(t)
	s := spec{tags: []string{"web:1", "web:2"}, layers: [][]byte{layerTar(t, "a"), layerTar(t, "b")}}
	out, err := b.load(dockerArchive(t, s))
	assert.NilError(t, err)
	assert.Equal(t, out, "{\"stream\":\"Loaded image: web:1\\n\"}\r\n{\"stream\":\"Loaded image: web:2\\n\"}\r\n")
	assert.DeepEqual(t, b.events.take(), []string{"image load " + s.id(t)})

	for _, b := range []*bench{b, b.reopen(vfs.New)} {
		assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[web:1 web:2]"})
		got, err := jobs.ImageInspect.Run(ctx, b.eng, jobs.ImageInspectIn{Image: "web:1"})
		assert.NilError(t, err)
		assert.Equal(t, got.ID, s.id(t))
		assert.Equal(t, got.Created, "2024-01-02T03:04:05Z")
		assert.Equal(t, got.Size, int64(len("content of a")+len("content of b")))
		assert.Equal(t, len(got.RootFS.Layers), 2)
		assert.Equal(t, got.Config.Labels["made"], "here")
		assert.Equal(t, b.log.String(), "")
	}
}

func TestLoadAgainChangesNothing(t *testing.T) {
	b := newBench(t)
	archive := dockerArchive(t, spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "a")}})
	b.mustLoad(archive)
	before := b.files()
	b.mustLoad(archive)
	assert.DeepEqual(t, b.files(), before)
}

func TestImagesShareLayers(t *testing.T) {
	b := newBench(t)
	base := layerTar(t, "base")
	b.mustLoad(dockerArchive(t,
		spec{tags: []string{"a:1"}, layers: [][]byte{base, layerTar(t, "a")}},
		spec{tags: []string{"b:1"}, layers: [][]byte{base, layerTar(t, "b")}}))
	assert.Equal(t, len(b.graphIDs()), 3)
	out, err := jobs.Images.Run(ctx, b.eng, jobs.ImagesIn{SharedSize: true})
	assert.NilError(t, err)
	assert.Equal(t, out.Images[0].SharedSize, int64(len("content of base")))

	rows, err := b.rm(jobs.ImageDeleteIn{Image: "a:1"})
	assert.NilError(t, err)
	assert.Equal(t, len(rows), 3, "name, image, one layer: %v", rows)
	assert.Equal(t, len(b.graphIDs()), 2)
	_, err = b.rm(jobs.ImageDeleteIn{Image: "b:1"})
	assert.NilError(t, err)
	assert.Equal(t, len(b.graphIDs()), 0)
}

func TestParentGivesAnInitLayerThatContainersCanUse(t *testing.T) {
	for name, open := range drivers(t) {
		t.Run(name, func(t *testing.T) {
			b := openBench(t, t.TempDir(), open, nil)
			s := spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "a")}}
			b.mustLoad(dockerArchive(t, s))
			layer, err := b.Parent(ctx, s.id(t))
			assert.NilError(t, err)
			again, err := b.Parent(ctx, s.id(t))
			assert.NilError(t, err)
			assert.Equal(t, layer, again)
			next := b.reopen(open)
			again, err = next.Parent(ctx, s.id(t))
			assert.NilError(t, err)
			assert.Equal(t, layer, again)

			assert.NilError(t, b.Graph.CreateReadWrite(ctx, "container", layer, nil))
			dir, err := b.Graph.Get(ctx, "container")
			assert.NilError(t, err)
			assertFile(t, dir, "a", "content of a")
			assertFile(t, dir, "etc/hosts", "")
			assert.NilError(t, b.Graph.Put(ctx, "container"))
			changes, err := b.Graph.Changes(ctx, "container")
			assert.NilError(t, err)
			assert.Equal(t, len(changes), 0, "%v", changes)
		})
	}
}

func TestForcedRemovalKeepsTheLayersOfAStoppedContainer(t *testing.T) {
	for name, open := range drivers(t) {
		t.Run(name, func(t *testing.T) {
			b := openBench(t, t.TempDir(), open, nil)
			s := spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "a")}}
			b.mustLoad(dockerArchive(t, s))
			b.users.set(s.id(t), Use{ID: "0123456789abcdef", Name: "c"})
			layer, err := b.Parent(ctx, s.id(t))
			assert.NilError(t, err)
			assert.NilError(t, b.Graph.CreateReadWrite(ctx, "container", layer, nil))

			_, err = b.rm(jobs.ImageDeleteIn{Image: "web:1"})
			assert.ErrorContains(t, err, `conflict: unable to remove repository reference "web:1" (must force) - container 0123456789ab is using its referenced image `)
			rows, err := b.rm(jobs.ImageDeleteIn{Image: "web:1", Force: true})
			assert.NilError(t, err)
			assert.DeepEqual(t, rows, []string{"untagged web:1", "deleted " + s.id(t)})

			for _, b := range []*bench{b, b.reopen(open)} {
				assert.NilError(t, b.Reclaim(ctx))
				dir, err := b.Graph.Get(ctx, "container")
				assert.NilError(t, err)
				assertFile(t, dir, "a", "content of a")
				assert.NilError(t, b.Graph.Put(ctx, "container"))
			}
			// The container goes, and with it the layers.
			assert.NilError(t, b.Graph.Remove(ctx, "container"))
			b.ContainerRemoved("")
			assert.NilError(t, b.Close())
			assert.Equal(t, len(b.graphIDs()), 0, "%v", b.graphIDs())
		})
	}
}

func TestTagMovesANameAndLeavesTheOldImageUnnamed(t *testing.T) {
	b := newBench(t)
	one := spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "a")}}
	two := spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "b")}, config: func(c map[string]any) { c["created"] = "2025-01-01T00:00:00Z" }}
	b.mustLoad(dockerArchive(t, one))
	out, err := b.load(dockerArchive(t, two))
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(out, "The image web:1 already exists, renaming the old one with ID "+one.id(t)+" to empty string"), out)
	for _, b := range []*bench{b, b.reopen(vfs.New)} {
		assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[web:1]", "[]"})
		assert.DeepEqual(t, b.list(jobs.ImagesIn{Filters: filters.Args{"dangling": {"true"}}}), []string{"[]"})
	}
	b.mustTag(one.id(t), "web", "1")
	assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[]", "[web:1]"})
}

func TestTagRefusesBadNames(t *testing.T) {
	b := newBench(t)
	b.mustLoad(dockerArchive(t, spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "a")}}))
	for _, row := range []struct{ repo, tag, text string }{
		{"UPPER", "x", "must be lowercase"},
		{"ok", "b~d", "invalid tag format"},
		{"", "", "invalid reference format"},
		{strings.Repeat("deadbeef", 8), "x", "cannot specify 64-byte hexadecimal strings"},
		{"x@sha256:" + strings.Repeat("a", 64), "", "refusing to create a tag with a digest reference"},
		{"sha256", "x", "refusing to create an ambiguous tag using digest algorithm as name"},
		{"../../etc/x", "y", "invalid reference format"},
		{"a b", "y", "invalid reference format"},
	} {
		_, err := jobs.Tag.Run(ctx, b.eng, jobs.TagIn{Image: "web:1", Repository: row.repo, Tag: row.tag})
		assert.ErrorContains(t, err, row.text)
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%v", err)
	}
}

func TestImagesAreFoundByEveryKindOfName(t *testing.T) {
	b := newBench(t)
	s := spec{tags: []string{"web:latest"}, layers: [][]byte{layerTar(t, "a")}}
	b.mustLoad(dockerArchive(t, s))
	hex := strings.TrimPrefix(s.id(t), "sha256:")
	for _, ref := range []string{"web", "web:latest", "docker.io/library/web", "index.docker.io/library/web:latest", s.id(t), hex, hex[:12], hex[:3], "sha256:" + hex[:12]} {
		img, err := b.Lookup(ctx, ref, "")
		assert.NilError(t, err, ref)
		assert.Equal(t, img.ID, s.id(t))
	}
	for ref, text := range map[string]string{
		"nosuch":                            "No such image: nosuch:latest",
		"nosuch:t":                          "No such image: nosuch:t",
		"quay.io/x/y":                       "No such image: quay.io/x/y:latest",
		"sha256:abcd":                       "No such image: sha256:abcd",
		strings.Repeat("0", 64):             "No such image: sha256:" + strings.Repeat("0", 64),
		"sha256:" + strings.Repeat("0", 64): "No such image: sha256:" + strings.Repeat("0", 64),
	} {
		_, err := b.Lookup(ctx, ref, "")
		assert.Error(t, err, text)
		assert.Assert(t, errdefs.IsNotFound(err))
	}
	for _, ref := range []string{"UPPER", "a@sha256:abcd", "a b", ""} {
		_, err := b.Lookup(ctx, ref, "")
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%s: %v", ref, err)
	}
}

func TestLookupMindsThePlatform(t *testing.T) {
	b := newBench(t)
	b.mustLoad(dockerArchive(t,
		spec{tags: []string{"arm:1"}, arch: "arm64", layers: [][]byte{layerTar(t, "a")}},
		spec{tags: []string{"amd:1"}, arch: "amd64", layers: [][]byte{layerTar(t, "a")}}))
	img, err := b.Lookup(ctx, "arm:1", "")
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(img.Warning, "platform (linux/arm64") && strings.Contains(img.Warning, "and no specific platform was requested"), img.Warning)
	img, err = b.Lookup(ctx, "arm:1", "linux/arm64")
	assert.NilError(t, err)
	assert.Equal(t, img.Warning, "")
	_, err = b.Lookup(ctx, "arm:1", "linux/amd64")
	assert.Assert(t, errdefs.IsNotFound(err), "%v", err)
	_, err = b.Lookup(ctx, "arm:1", "a/b/c/d")
	assert.Assert(t, errdefs.IsInvalidArgument(err), "%v", err)
}

func TestRmiFollowsDockersRules(t *testing.T) {
	s := spec{tags: []string{"a:1", "a:2"}, layers: [][]byte{layerTar(t, "a")}}
	id := s.id(t)
	short := shortID(id)
	running := Use{ID: strings.Repeat("c", 64), Running: true}
	stopped := Use{ID: strings.Repeat("d", 64)}
	chain := "sha256:" + digestHex(s.layers[0])

	for _, row := range []struct {
		name  string
		tags  []string
		use   []Use
		in    jobs.ImageDeleteIn
		rows  []string
		error string
	}{
		{"id with two tags needs force", s.tags, nil, jobs.ImageDeleteIn{Image: id}, nil,
			"conflict: unable to delete " + short + " (must be forced) - image is referenced in multiple repositories"},
		{"prefix with two tags needs force", s.tags, nil, jobs.ImageDeleteIn{Image: short}, nil, "(must be forced)"},
		{"id with two tags and force", s.tags, nil, jobs.ImageDeleteIn{Image: id, Force: true},
			[]string{"untagged a:1", "untagged a:2", "deleted " + id, "deleted " + chain}, ""},
		{"one of two tags", s.tags, nil, jobs.ImageDeleteIn{Image: "a:2"}, []string{"untagged a:2"}, ""},
		{"one of two tags of an image in use", s.tags, []Use{running}, jobs.ImageDeleteIn{Image: "a:2"}, []string{"untagged a:2"}, ""},
		{"last tag", s.tags[:1], nil, jobs.ImageDeleteIn{Image: "a:1"}, []string{"untagged a:1", "deleted " + id, "deleted " + chain}, ""},
		{"id with one tag", s.tags[:1], nil, jobs.ImageDeleteIn{Image: id}, []string{"untagged a:1", "deleted " + id, "deleted " + chain}, ""},
		{"last tag, stopped container", s.tags[:1], []Use{stopped}, jobs.ImageDeleteIn{Image: "a:1"}, nil,
			`conflict: unable to remove repository reference "a:1" (must force) - container dddddddddddd is using its referenced image ` + short},
		{"last tag, running container", s.tags[:1], []Use{running}, jobs.ImageDeleteIn{Image: "a:1"}, nil,
			`conflict: unable to remove repository reference "a:1" (must force) - container cccccccccccc is using its referenced image ` + short},
		{"id, stopped container", s.tags[:1], []Use{stopped}, jobs.ImageDeleteIn{Image: id}, nil,
			"conflict: unable to delete " + short + " (must be forced) - image is being used by stopped container dddddddddddd"},
		{"id, running container", s.tags[:1], []Use{stopped, running}, jobs.ImageDeleteIn{Image: id}, nil,
			"conflict: unable to delete " + short + " (cannot be forced) - image is being used by running container cccccccccccc"},
		{"id, running container, force", s.tags[:1], []Use{running}, jobs.ImageDeleteIn{Image: id, Force: true}, nil, "(cannot be forced)"},
		{"last tag, running container, force", s.tags[:1], []Use{running}, jobs.ImageDeleteIn{Image: "a:1", Force: true}, []string{"untagged a:1"}, ""},
		{"last tag, stopped container, force", s.tags[:1], []Use{stopped}, jobs.ImageDeleteIn{Image: "a:1", Force: true}, []string{"untagged a:1", "deleted " + id}, ""},
		{"blank", s.tags, nil, jobs.ImageDeleteIn{}, nil, "image name cannot be blank"},
		{"absent", s.tags, nil, jobs.ImageDeleteIn{Image: "b:1"}, nil, "No such image: b:1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			b.mustLoad(dockerArchive(t, spec{tags: row.tags, layers: s.layers}))
			b.events.take()
			b.users.set(id, row.use...)
			rows, err := b.rm(row.in)
			if row.error != "" {
				assert.ErrorContains(t, err, row.error)
				assert.Equal(t, len(b.events.take()), 0)
				assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[" + strings.Join(row.tags, " ") + "]"})
				return
			}
			assert.NilError(t, err)
			assert.DeepEqual(t, rows, row.rows)
			var told []string
			for _, r := range row.rows {
				switch {
				case strings.HasPrefix(r, "untagged"):
					told = append(told, "image untag "+id)
				case r == "deleted "+id:
					told = append(told, "image delete "+id)
				}
			}
			assert.DeepEqual(t, b.events.take(), told)
			if slices.Contains(row.rows, "deleted "+chain) {
				assert.Equal(t, len(b.graphIDs()), 0)
			}
		})
	}
}

// child makes an image from another one, as commit and build do.
func (b *bench) child(parent string, s spec) string {
	b.t.Helper()
	b.mustLoad(dockerArchive(b.t, s)) // brings the layers
	img, err := b.find(s.id(b.t))
	assert.NilError(b.t, err)
	lease, err := b.store.Unpack(ctx, sourcesOf(s))
	assert.NilError(b.t, err)
	defer lease.Release()
	p, err := b.find(parent)
	assert.NilError(b.t, err)
	_, err = b.store.Publish(store.NewImage{Config: s.configJSON(b.t), Parent: p.ID}, lease)
	assert.NilError(b.t, err)
	return img.ID.String()
}

func TestParentsAndChildren(t *testing.T) {
	base := layerTar(t, "base")
	parent := spec{tags: []string{"parent:1"}, layers: [][]byte{base}}
	kid := spec{tags: []string{"kid:1"}, layers: [][]byte{base, layerTar(t, "kid")}, config: func(c map[string]any) { c["created"] = "2025-01-01T00:00:00Z" }}
	family := func(t *testing.T) *bench {
		b := newBench(t)
		b.mustLoad(dockerArchive(t, parent))
		b.child("parent:1", kid)
		return b
	}
	t.Run("a parent cannot be removed by id", func(t *testing.T) {
		b := family(t)
		_, err := b.rm(jobs.ImageDeleteIn{Image: parent.id(t), Force: true})
		assert.Error(t, err, "conflict: unable to delete "+shortID(parent.id(t))+" (cannot be forced) - image has dependent child images")
	})
	t.Run("by name only the name goes, and the list hides it", func(t *testing.T) {
		b := family(t)
		rows, err := b.rm(jobs.ImageDeleteIn{Image: "parent:1"})
		assert.NilError(t, err)
		assert.DeepEqual(t, rows, []string{"untagged parent:1"})
		for _, b := range []*bench{b, b.reopen(vfs.New)} {
			assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[kid:1]"})
			assert.DeepEqual(t, b.list(jobs.ImagesIn{All: true}), []string{"[kid:1]", "[]"})
		}
		h, err := jobs.History.Run(ctx, b.eng, jobs.HistoryIn{Image: "kid:1"})
		assert.NilError(t, err)
		assert.Equal(t, len(h.Items), 0)
	})
	t.Run("an unnamed parent goes with its child", func(t *testing.T) {
		b := family(t)
		_, err := b.rm(jobs.ImageDeleteIn{Image: "parent:1"})
		assert.NilError(t, err)
		rows, err := b.rm(jobs.ImageDeleteIn{Image: "kid:1"})
		assert.NilError(t, err)
		assert.Equal(t, len(rows), 5, "%v", rows)
		assert.Equal(t, rows[3], "deleted "+parent.id(t))
		assert.Equal(t, b.Count(), 0)
		assert.Equal(t, len(b.graphIDs()), 0)
	})
	t.Run("unless it is to stay", func(t *testing.T) {
		b := family(t)
		_, err := b.rm(jobs.ImageDeleteIn{Image: "parent:1"})
		assert.NilError(t, err)
		_, err = b.rm(jobs.ImageDeleteIn{Image: "kid:1", NoPrune: true})
		assert.NilError(t, err)
		assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[]"})
	})
	t.Run("or is in use", func(t *testing.T) {
		b := family(t)
		_, err := b.rm(jobs.ImageDeleteIn{Image: "parent:1"})
		assert.NilError(t, err)
		b.users.set(parent.id(t), Use{ID: "c"})
		_, err = b.rm(jobs.ImageDeleteIn{Image: "kid:1"})
		assert.NilError(t, err)
		assert.Equal(t, b.Count(), 1)
	})
	t.Run("or has a name", func(t *testing.T) {
		b := family(t)
		_, err := b.rm(jobs.ImageDeleteIn{Image: "kid:1"})
		assert.NilError(t, err)
		assert.DeepEqual(t, b.list(jobs.ImagesIn{}), []string{"[parent:1]"})
	})
}

func TestHistoryTellsStepsAndSizes(t *testing.T) {
	b := newBench(t)
	s := spec{tags: []string{"web:1"}, layers: [][]byte{layerTar(t, "a"), layerTar(t, "bb")}, config: func(c map[string]any) {
		c["history"] = []map[string]any{
			{"created": "2024-01-01T00:00:00Z", "created_by": "ADD a"},
			{"created_by": "CMD sh", "empty_layer": true},
			{"created_by": "ADD bb", "comment": "second"},
		}
	}}
	b.mustLoad(dockerArchive(t, s))
	out, err := jobs.History.Run(ctx, b.eng, jobs.HistoryIn{Image: "web:1"})
	assert.NilError(t, err)
	assert.Equal(t, len(out.Items), 3)
	top := out.Items[0]
	assert.Equal(t, top.ID, s.id(t))
	assert.Equal(t, top.CreatedBy, "ADD bb")
	assert.Equal(t, top.Comment, "second")
	assert.Equal(t, top.Size, int64(len("content of bb")))
	assert.Equal(t, top.Created, int64(0))
	assert.DeepEqual(t, top.Tags, []string{"web:1"})
	assert.Equal(t, out.Items[1].Size, int64(0))
	assert.Equal(t, out.Items[1].ID, "<missing>")
	assert.Equal(t, out.Items[2].Created, int64(1704067200))
}

func TestImportMakesAnImageOfATar(t *testing.T) {
	b := newBench(t)
	id := b.mustImport(gz(layerTar(t, "a", "etc/x")), "base", "", `CMD ["sh","-c","ls"]`, "ENV A=b", "LABEL x=y")
	assert.DeepEqual(t, b.events.take(), []string{"image tag base:latest", "image import " + id})
	got, err := jobs.ImageInspect.Run(ctx, b.eng, jobs.ImageInspectIn{Image: "base"})
	assert.NilError(t, err)
	assert.Equal(t, got.ID, id)
	assert.DeepEqual(t, got.Config.Cmd, []string{"sh", "-c", "ls"})
	assert.DeepEqual(t, got.Config.Env, []string{"A=b"})
	assert.Equal(t, got.Config.Labels["x"], "y")
	assert.Equal(t, got.Comment, "Imported from -")
	assert.Equal(t, got.RootFS.Layers[0], "sha256:"+digestHex(layerTar(t, "a", "etc/x")))
	assert.Assert(t, !got.Metadata.LastTagTime.IsZero())

	// The same layer again is not stored twice.
	before := len(b.graphIDs())
	b.mustImport(layerTar(t, "a", "etc/x"), "", "")
	assert.Equal(t, len(b.graphIDs()), before)
}

func drivers(t *testing.T) map[string]openDriver {
	t.Helper()
	all := map[string]openDriver{"vfs": vfs.New}
	if isRoot() {
		all["overlay2"] = overlay2.New
	}
	return all
}
