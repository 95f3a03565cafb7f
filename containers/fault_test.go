package containers

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/jobs"
)

// dieAt makes the noun's disk fail from its n-th call on, as if the daemon had
// been killed there.
func (w *world) dieAt(n int) *durable.Failing {
	f := durable.FailFrom(durable.OS, n, syscall.EIO)
	w.Containers.fsys = f
	return f
}

func TestACreateThatIsCutOffAnywhereIsWholeOrGone(t *testing.T) {
	for n := 1; ; n++ {
		w := newWorld(t)
		disk := w.dieAt(n)
		out, err := w.tryCreate("xx")
		w.reopen(t)
		if err == nil {
			assert.Equal(t, w.snapshot(t, "xx").ID, out.ID)
			w.mustStart(t, "xx")
		} else {
			assert.Assert(t, disk.Failed())
			for _, s := range w.List() {
				assert.Assert(t, !s.State.Dead, "n=%d: a damaged container is listed", n)
			}
			// What is listed although nobody was told of it is whole.
			assert.Equal(t, len(w.graph.layers(t)), len(w.List()), "n=%d", n)
			assert.Equal(t, folderCount(t, w.dir), len(w.List()), "n=%d", n)
			for _, s := range w.List() {
				w.mustStart(t, s.Name)
			}
			w.mustCreate(t, "other")
		}
		if !disk.Failed() {
			return
		}
		assert.Assert(t, n < 200)
	}
}

func TestARenameThatIsCutOffHasOneOfTheNames(t *testing.T) {
	for n := 1; ; n++ {
		w := newWorld(t)
		id := w.mustCreate(t, "old")
		disk := w.dieAt(n)
		_, err := jobs.ContainerRename.Run(ctx, w.eng, jobs.ContainerRenameIn{Container: "old", Name: "new"})
		if err != nil {
			ct, e := w.find("old")
			assert.NilError(t, e, "n=%d: after a failed rename the old name is gone", n)
			assert.Equal(t, ct.ID(), id)
		}
		w.reopen(t)
		assert.Equal(t, len(w.List()), 1)
		name := w.List()[0].Name
		assert.Assert(t, name == "old" && err != nil || name == "new", "n=%d: %s, %v", n, name, err)
		if !disk.Failed() {
			return
		}
		assert.Assert(t, n < 200)
	}
}

func TestARemovalThatIsCutOffIsFinishedOrNotBegun(t *testing.T) {
	for n := 1; ; n++ {
		w := newWorld(t)
		w.mustCreate(t, "xx")
		disk := w.dieAt(n)
		_, err := jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: "xx"})
		w.reopen(t)
		if err == nil {
			assert.Equal(t, len(w.List()), 0)
		}
		for range w.List() {
			_, err := jobs.Rm.Run(ctx, w.eng, jobs.RmIn{Container: "xx"})
			assert.NilError(t, err, "n=%d", n)
		}
		assert.Equal(t, len(w.graph.layers(t)), 0, "n=%d", n)
		assert.Equal(t, folderCount(t, w.dir), 0, "n=%d", n)
		if !disk.Failed() {
			return
		}
		assert.Assert(t, n < 200)
	}
}

func TestAnExitOnAFullDiskIsStillAnExit(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "xx")
	w.mustStart(t, "xx")
	w.dieAt(1)
	w.runtime.exit(id, 6)
	out, err := w.wait("xx", "")
	assert.NilError(t, err)
	assert.Equal(t, out.StatusCode, int64(6))
	w.reopen(t)
	assert.Equal(t, w.snapshot(t, "xx").State.ExitCode, 6)
}

func folderCount(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	assert.NilError(t, err)
	return len(entries)
}

func TestEditsOfEtcFilesOutliveARestart(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "xx", func(in *jobs.CreateIn) { in.HostConfig.ExtraHosts = []string{"db:192.0.2.1", "six:[2001:db8::1]"} })
	w.mustStart(t, "xx")
	hosts := w.path(id, "hosts")
	text, err := os.ReadFile(hosts)
	assert.NilError(t, err)
	assert.Assert(t, strings.HasSuffix(string(text), "ff02::2\tip6-allrouters\n192.0.2.1\tdb\n2001:db8::1\tsix\n"), string(text))
	name, err := os.ReadFile(w.path(id, "hostname"))
	assert.NilError(t, err)
	assert.Equal(t, string(name), id[:12]+"\n")
	assert.NilError(t, os.WriteFile(hosts, []byte("edited\n"), 0o644))
	_, err = jobs.Restart.Run(ctx, w.eng, jobs.RestartIn{Container: "xx"})
	assert.NilError(t, err)
	text, err = os.ReadFile(hosts)
	assert.NilError(t, err)
	assert.Equal(t, string(text), "edited\n")
}

func TestAVolumeOfTheImageHoldsWhatTheImageHasThere(t *testing.T) {
	outside := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(outside, "canary"), []byte("secret"), 0o600))
	w := newWorld(t)
	w.graph.fill = func(dir string) {
		_ = os.MkdirAll(filepath.Join(dir, "data/sub"), 0o750)
		_ = os.WriteFile(filepath.Join(dir, "data/sub/file"), []byte("x"), 0o640)
		_ = os.Symlink(outside, filepath.Join(dir, "trap"))
		_ = os.Symlink("/data", filepath.Join(dir, "inside"))
	}
	w.images.config.Config.Volumes = map[string]struct{}{"/data": {}, "/trap": {}, "/inside": {}, "/none": {}, "/../../up": {}}
	id := w.mustCreate(t, "xx")
	found := map[string][]string{}
	for _, m := range w.snapshot(t, "xx").Mounts {
		assert.Assert(t, strings.HasPrefix(m.Source, w.path(id, "volumes")+"/"))
		entries, err := os.ReadDir(m.Source)
		assert.NilError(t, err)
		found[m.Destination] = []string{}
		for _, e := range entries {
			found[m.Destination] = append(found[m.Destination], e.Name())
		}
	}
	assert.DeepEqual(t, found, map[string][]string{"/data": {"sub"}, "/trap": {}, "/inside": {"sub"}, "/none": {}, "/up": {}})
	assert.Equal(t, w.graph.inUse(), 0)
}
