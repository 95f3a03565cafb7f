package leak

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

func contains(found []string, text string) bool {
	for _, line := range found {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}

func TestOwnedFindsNothingWhereNothingIs(t *testing.T) {
	dir := t.TempDir()
	assert.Equal(t, len(Owned(Scope{Root: dir, Dirs: []string{dir}, CgroupParent: "/engine-leaktest-none"})), 0)
}

func TestOwnedFindsAProcessByItsMark(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("sleep", "60")
	cmd.Env = []string{Mark(dir)}
	assert.NilError(t, cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	assert.Assert(t, contains(Owned(Scope{Root: dir}), "sleep 60"))
	assert.Equal(t, len(Owned(Scope{Root: dir + "/other"})), 0)
}

func TestOwnedFindsFiles(t *testing.T) {
	dir := t.TempDir()
	assert.NilError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o700))
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "left"), nil, 0o600))
	found := Owned(Scope{Root: "/nowhere", Dirs: []string{dir}})
	assert.Equal(t, len(found), 1, found)
	assert.Assert(t, contains(found, "left"))
}

func TestOwnedFindsMountsAndCleanRemovesThem(t *testing.T) {
	needRoot(t)
	dir := filepath.Join(t.TempDir(), "a place")
	assert.NilError(t, os.Mkdir(dir, 0o700))
	assert.NilError(t, unix.Mount("none", dir, "tmpfs", 0, ""))
	s := Scope{Root: dir}
	assert.Assert(t, contains(Owned(s), "mount "+dir))
	Clean(s)
	assert.Equal(t, len(Owned(s)), 0)
}

func TestOwnedFindsCgroupsAndTheirProcesses(t *testing.T) {
	needRoot(t)
	top := writableHierarchy(t)
	const parent = "/engine-leaktest"
	dir := top + parent + "/child"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Skipf("cannot make a cgroup: %v", err)
	}
	s := Scope{Root: t.TempDir(), CgroupParent: parent}
	defer Clean(s)
	cmd := exec.Command("sleep", "60")
	assert.NilError(t, cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	assert.NilError(t, os.WriteFile(dir+"/cgroup.procs", []byte(strconv.Itoa(cmd.Process.Pid)), 0o644))

	RemoveCgroupParent(parent)
	found := Owned(s)
	assert.Assert(t, contains(found, "sleep 60"), found)
	assert.Assert(t, contains(found, "cgroup "+dir), found)

	go cmd.Wait()
	Clean(s)
	assert.Equal(t, len(Owned(s)), 0, Owned(s))
}

// One row for each kind of thing: left on purpose, it must be reported.
func TestCompareReportsEveryKind(t *testing.T) {
	dir := t.TempDir()
	before := Take(dir)
	for _, row := range []struct {
		kind, want string
		root       bool
		leave      func(t *testing.T)
	}{
		{"file", "file " + dir + "/left", false, func(t *testing.T) {
			assert.NilError(t, os.WriteFile(dir+"/left", nil, 0o600))
		}},
		{"process", "sleep 61", false, func(t *testing.T) {
			cmd := exec.Command("sleep", "61")
			cmd.Env = []string{RunMark}
			assert.NilError(t, cmd.Start())
			t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		}},
		{"namespace", "namespace net:", true, func(t *testing.T) {
			// On a busy machine a new namespace may have the number of one that has
			// gone since: another is made then.
			for range 5 {
				cmd := exec.Command("unshare", "-n", "sleep", "62")
				cmd.Env = []string{RunMark}
				assert.NilError(t, cmd.Start())
				t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
				for range 50 {
					if len(Compare(before, Take(), regexp.MustCompile("namespace net"))) > 0 {
						return
					}
					nap()
				}
			}
		}},
		{"mount", "mount " + dir, true, func(t *testing.T) {
			assert.NilError(t, unix.Mount("none", dir, "tmpfs", 0, ""))
			t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
		}},
		{"cgroup", "engine-leaktest-compare", true, func(t *testing.T) {
			group := writableHierarchy(t) + "/engine-leaktest-compare"
			assert.NilError(t, os.Mkdir(group, 0o755))
			t.Cleanup(func() { os.Remove(group) })
		}},
		{"interface", "interface engleak0", true, func(t *testing.T) {
			command(t, "ip", "link", "add", "engleak0", "type", "veth", "peer", "name", "engleak1")
			t.Cleanup(func() { command(t, "ip", "link", "del", "engleak0") })
		}},
		{"rule", "engine_leaktest", true, func(t *testing.T) {
			command(t, "nft", "add", "table", "inet", "engine_leaktest")
			t.Cleanup(func() { command(t, "nft", "delete", "table", "inet", "engine_leaktest") })
		}},
	} {
		t.Run(row.kind, func(t *testing.T) {
			if row.root {
				needRoot(t)
			}
			row.leave(t)
			found := Compare(before, Take(dir), nil)
			assert.Assert(t, contains(found, row.want), strings.Join(found, "\n"))
		})
	}
}

func needRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

func writableHierarchy(t *testing.T) string {
	for _, top := range hierarchies() {
		if strings.Contains(top, "pids") || strings.Contains(top, "unified") || len(hierarchies()) == 1 {
			return top
		}
	}
	t.Skip("no cgroup hierarchy")
	return ""
}

func command(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Skipf("%v: %s", args, out)
	}
}
