//go:build system

package test

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"
)

// Every file that the engine keeps is spoiled in every way, one after the other.
// The daemon starts the first time, lists everything, and says in its log which
// object is damaged; the others work; the damaged one can be seen, inspected and
// removed, its name is free then, and nothing is left of it.
func TestOneDamagedRecordHarmsNobodyElse(t *testing.T) {
	dir := folder(t)
	e := startIn(t, dir)
	e.load()
	// An image with a layer that no other has.
	tree := filepath.Join(dir, "tree.tar")
	run(t, "cp", rootfs, tree)
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "more"), []byte("more"), 0o600))
	run(t, "tar", "-rf", tree, "-C", dir, "more")
	bad := e.must("import", tree, "bad:1")
	for _, name := range []string{"good", "bad"} {
		assert.NilError(t, e.JSON("POST", "/containers/create?name="+name, map[string]any{
			"Image": map[string]string{"good": "busybox", "bad": "bad:1"}[name], "Cmd": []string{"sh", "-c", ends},
			"HostConfig": map[string]any{"NetworkMode": "none"},
		}, nil))
		e.must("start", name)
		e.must("wait", name)
	}
	id := e.must("inspect", "-f", "{{.Id}}", "bad")
	assert.NilError(t, e.Stop())
	saved := filepath.Join(dir, "saved")
	run(t, "cp", "-a", e.DataRoot, saved)

	// The files by what they are about: the container, its image, or nothing that a user sees.
	files := map[string]string{}
	for pattern, about := range map[string]string{
		"containers/" + id + "/container.json":                                           "container",
		"containers/" + id + "/exit.json":                                                "",
		"overlay2/" + id + "/layer.json":                                                 "container",
		"images/overlay2/configs/" + strings.TrimPrefix(bad, "sha256:") + "/config.json": "image",
		"images/overlay2/configs/" + strings.TrimPrefix(bad, "sha256:") + "/image.json":  "names",
		"images/overlay2/layers/LAYER/layer.json":                                        "image",
		"images/overlay2/layers/LAYER/tar.index":                                         "",
		"images/overlay2/inits/LAYER.json":                                               "",
		"overlay2/GRAPH/layer.json":                                                      "image",
		"engine.json":                                                                    "",
		"owner.pid":                                                                      "",
	} {
		if strings.Contains(pattern, "LAYER") || strings.Contains(pattern, "GRAPH") {
			var rec struct{ Layers []string }
			assert.NilError(t, readRecord(filepath.Join(saved, "images/overlay2/configs", strings.TrimPrefix(bad, "sha256:"), "image.json"), &rec))
			layer := strings.TrimPrefix(rec.Layers[0], "sha256:")
			var l struct{ GraphID string }
			assert.NilError(t, readRecord(filepath.Join(saved, "images/overlay2/layers", layer, "layer.json"), &l))
			pattern = strings.NewReplacer("LAYER", layer, "GRAPH", l.GraphID).Replace(pattern)
		}
		if _, err := os.Stat(filepath.Join(saved, pattern)); err == nil {
			files[pattern] = about
		} else if about != "" {
			t.Errorf("there is no %s", pattern)
		}
	}

	ways := map[string]func(path string) error{
		"empty":     func(path string) error { return os.Truncate(path, 0) },
		"truncated": func(path string) error { return os.Truncate(path, 20) },
		"garbage":   func(path string) error { return os.WriteFile(path, []byte("\xff\x00\x01garbage{{{"), 0o600) },
		"zeros":     func(path string) error { return os.WriteFile(path, make([]byte, 4096), 0o600) },
		"padded": func(path string) error {
			text, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, append(text, make([]byte, 100)...), 0o600)
			}
			return err
		},
		"null": func(path string) error { return os.WriteFile(path, []byte("null\n"), 0o600) },
		"newer": func(path string) error {
			return os.WriteFile(path, []byte(`{"Format": 99, "Version": 99, "version": 99}`+"\n"), 0o600)
		},
		"a fifo": func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return syscall.Mkfifo(path, 0o600)
		},
		"a folder": func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Mkdir(path, 0o700)
		},
		"a symlink": func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Symlink("/etc/passwd", path)
		},
	}
	// All of them take minutes: a run tries some, chosen by the seed.
	chosen := rand.New(rand.NewPCG(seed(t), 1))
	all := len(files) * len(ways)
	wanted := rounds(18)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		about := files[file]
		for _, how := range slices.Sorted(maps.Keys(ways)) {
			spoil := ways[how]
			if chosen.IntN(all) >= wanted {
				continue
			}
			t.Run(strings.NewReplacer(id, "BAD", "/", " ").Replace(file)+" "+how, func(t *testing.T) {
				e.t = t
				assert.NilError(t, os.RemoveAll(e.DataRoot))
				run(t, "cp", "-a", saved, e.DataRoot)
				assert.NilError(t, spoil(filepath.Join(e.DataRoot, file)))
				assert.NilError(t, os.Remove(e.LogFile))
				assert.NilError(t, e.Start())
				defer e.Stop()

				// All is listed.
				found, err := observe(e.Daemon)
				assert.NilError(t, err)
				assert.Equal(t, len(found), 4, "%s", found)
				assert.Equal(t, found["c good"], "exited 3")
				e.must("info")
				e.must("ps", "-a")
				e.must("images", "-a")
				e.must("inspect", id)
				assert.Equal(t, e.any("start", "-a", "good").Code, 3)
				e.must("run", "--rm", "--network", "none", "busybox", "true")
				started := e.any("start", id)
				switch about {
				case "container":
					assert.Assert(t, started.Code != 0)
					status := e.must("inspect", "-f", "{{.State.Status}} {{.State.Error}}", id)
					assert.Assert(t, strings.HasPrefix(status, "dead ") && strings.Contains(status, "damaged"), "%q", status)
					assert.Assert(t, strings.Contains(started.Stderr, "damaged") && strings.Contains(started.Stderr, "remove"), "%s", started)
					assert.Assert(t, logged(e.Log(), id, "damaged"), "no word of %s in the log:\n%s", id, e.Log())
				case "image":
					e.any("inspect", bad)
					res := e.any("run", "--rm", "--network", "none", bad, "true")
					assert.Assert(t, res.Code != 0 && strings.Contains(res.Stderr, "damaged"), "%s", res)
					assert.Assert(t, logged(e.Log(), bad[7:], "damaged"), "no word of %s in the log:\n%s", bad, e.Log())
				case "names":
					assert.Assert(t, logged(e.Log(), bad[7:], ""), "no word of %s in the log:\n%s", bad, e.Log())
					if how != "newer" && how != "null" { // those are of another program
						e.must("tag", bad, "bad:1")
					}
				}

				// It can be removed, and its name is free then.
				e.must("rm", "-f", id) // it may be running since the start above
				assert.NilError(t, createContainer(e.Daemon, "bad", ends))
				assert.Equal(t, e.any("start", "-a", "bad").Code, 3)
				e.must("rm", "-f", "good", "bad")
				e.must("rmi", "-f", bad)
				e.must("import", tree, "bad:1")
				e.must("image", "prune", "-af")
				for _, left := range []string{"containers", "overlay2", "images/overlay2/configs", "images/overlay2/layers", "images/overlay2/inits", "images/overlay2/tmp", "tmp"} {
					entries, err := os.ReadDir(filepath.Join(e.DataRoot, left))
					assert.NilError(t, err)
					assert.Equal(t, len(entries), 0, "left in %s: %v", left, entries)
				}
			})
		}
	}
	e.t = t
	assert.NilError(t, e.Start()) // for the clean-up
}

// logged tells whether a line of the log, of those that warn, has both texts.
func logged(log, id, word string) bool {
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "level=info") && strings.Contains(line, id) && strings.Contains(line, word) {
			return true
		}
	}
	return false
}
