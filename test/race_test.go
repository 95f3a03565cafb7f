//go:build system

package test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"gotest.tools/v3/assert"
)

// CVE-2021-30465, CVE-2024-45310, CVE-2025-31133: one container exchanges a
// folder with a link out of a volume that both share, while others are started
// whose mount target is that folder. What is mounted lies inside their root, and
// nothing is made on the host.
func TestRacedMountTargetsStayInside(t *testing.T) {
	h := newHost(t)
	e := startProbe(t)
	const starts, abreast = 50, 4
	up := strings.Repeat("../", 20)
	for name, link := range map[string]string{
		"a folder of the host": h.aim,
		"upwards":              up + h.aim[1:],
		"the root":             "/",
		"a magic link":         "/proc/self/fd",
	} {
		t.Run(name, func(t *testing.T) {
			e := e.in(t)
			shared, mine := t.TempDir(), t.TempDir()
			assert.NilError(t, os.Mkdir(shared+"/a", 0o777))
			assert.NilError(t, os.Symlink(link, shared+"/b"))
			e.must("run", "-d", "--name", "racer", "-v", shared+":/shared", "probe", "/probe", "race", "/shared/a", "/shared/b")
			defer e.must("rm", "-f", "racer")
			eventually(t, "the race is on", func() bool { return strings.Contains(e.must("logs", "racer"), "racing") })
			allowed := []string{shared, mine, e.DataRoot + "/containers/"}
			var all sync.WaitGroup
			var mu sync.Mutex
			started := 0
			for worker := range abreast {
				all.Go(func() {
					for i := range starts / abreast {
						name := fmt.Sprintf("victim%d-%d", worker, i)
						target := []string{"/shared/a", "/shared/a/new/folder"}[i%2]
						ok, foreign := raced(e, name, []string{shared + ":/shared", mine + ":" + target}, allowed)
						assert.Check(t, len(foreign) == 0, "mounts of the host in %s: %v", name, foreign)
						if ok {
							mu.Lock()
							started++
							mu.Unlock()
						}
					}
				})
			}
			all.Wait()
			t.Logf("%d of %d started", started, starts/abreast*abreast)
			h.unchanged(t)
			assert.Assert(t, started > 0, "no container started: nothing is proved")
		})
	}
	assert.Equal(t, e.must("ps", "-aq"), "")
}

// raced starts a container and tells whether it did, and what of the host's
// file system it has mounted that is not below one of the folders allowed.
func raced(e *engine, name string, binds, allowed []string) (bool, []string) {
	host := map[string]any{"Binds": binds}
	if err := e.JSON("POST", "/containers/create?name="+name, map[string]any{"Image": "probe", "Cmd": []string{"/probe", "wait"}, "HostConfig": host}, nil); err != nil {
		return false, []string{err.Error()}
	}
	defer e.Do("DELETE", "/containers/"+name+"?force=1", nil)
	if code, _, _, err := e.Do("POST", "/containers/"+name+"/start", nil); err != nil || code >= 300 {
		return false, nil
	}
	var is struct{ State struct{ Pid int } }
	if err := e.JSON("GET", "/containers/"+name+"/json", nil, &is); err != nil {
		return false, []string{err.Error()}
	}
	own, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false, []string{err.Error()}
	}
	theirs, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", is.State.Pid))
	if err != nil {
		return false, []string{err.Error()}
	}
	// The devices of the host's file systems that hold files.
	hosts := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(own)), "\n") {
		f := strings.Fields(line)
		_, kind, _ := strings.Cut(line, " - ")
		if fsType := strings.Fields(kind)[0]; strings.HasPrefix(fsType, "ext") || fsType == "xfs" || fsType == "btrfs" || f[4] == "/" || f[4] == "/tmp" {
			hosts[f[2]] = f[4]
		}
	}
	var foreign []string
	for _, line := range strings.Split(strings.TrimSpace(string(theirs)), "\n") {
		f := strings.Fields(line)
		top, ok := hosts[f[2]]
		if !ok {
			continue
		}
		source, good := strings.TrimSuffix(top, "/")+f[3], false
		for _, a := range allowed {
			good = good || strings.HasPrefix(source, a) || strings.HasPrefix(f[3], a) || strings.HasPrefix(f[3], onDisk(string(own), a))
		}
		if !good {
			foreign = append(foreign, line)
		}
	}
	return true, foreign
}

// onDisk gives a path as mountinfo has it in a container: from the root of its
// file system, where /tmp may itself be a folder bound to its place.
func onDisk(mountinfo, path string) string {
	best, found := "", path
	for _, line := range strings.Split(mountinfo, "\n") {
		f := strings.Fields(line)
		if len(f) > 4 && strings.HasPrefix(path, strings.TrimSuffix(f[4], "/")+"/") && len(f[4]) >= len(best) {
			best, found = f[4], strings.TrimSuffix(f[3], "/")+strings.TrimPrefix(path, strings.TrimSuffix(f[4], "/"))
		}
	}
	return found
}
