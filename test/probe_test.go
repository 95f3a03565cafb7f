//go:build system

package test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// probe is the program of test/probe, built once.
var probe = sync.OnceValues(func() ([]byte, error) {
	root, err := harness.Root()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "engine-test-probe-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	sources, err := filepath.Glob(filepath.Join(root, "test", "probe", "*.c"))
	if err != nil {
		return nil, err
	}
	// Without PIE: i386's calls need addresses that have 32 bits.
	args := []string{"-static", "-no-pie", "-O1", "-o", filepath.Join(dir, "probe")}
	if out, err := exec.Command("gcc", append(args, sources...)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the probe: %w: %s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "probe"))
})

// probeEntries are what the smallest image has: the probe and a /tmp.
func probeEntries(t *testing.T) []harness.Entry {
	t.Helper()
	body, err := probe()
	assert.NilError(t, err)
	return []harness.Entry{
		{Header: tar.Header{Name: "probe", Typeflag: tar.TypeReg, Mode: 0o755}, Body: body},
		{Header: tar.Header{Name: "tmp", Typeflag: tar.TypeDir, Mode: 0o1777}},
	}
}

// in is the same daemon for a part of a test.
func (e *engine) in(t *testing.T) *engine { return &engine{e.Daemon, t, e.cli} }

// importImage makes an image of the entries. An image that the engine refuses
// is told by false.
func (e *engine) importImage(name string, entries ...harness.Entry) bool {
	e.t.Helper()
	code, text, _, err := e.Do("POST", "/images/create?fromSrc=-&tag=latest&repo="+name, bytes.NewReader(harness.Tar(entries...)))
	assert.NilError(e.t, err)
	if code >= 400 || strings.Contains(text, "errorDetail") {
		e.t.Logf("import: %d %s", code, text)
		return false
	}
	return true
}

// startProbe gives a private daemon with the image probe.
func startProbe(t *testing.T, flags ...string) *engine {
	t.Helper()
	entries := probeEntries(t)
	e := start(t, flags...)
	assert.Assert(t, e.importImage("probe", entries...))
	return e
}

// verdicts is the golden table: what is tried, to the verdicts allowed.
type verdicts map[string][]string

func goldenVerdicts(t *testing.T, user bool) verdicts {
	t.Helper()
	f, err := os.Open("testdata/probe.txt")
	assert.NilError(t, err)
	defer f.Close()
	table := verdicts{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		word := strings.Fields(lines.Text())
		if len(word) == 0 || word[0] == "#" {
			continue
		}
		assert.Assert(t, len(word) == 2 || len(word) == 3, "a row of the golden table: %q", lines.Text())
		verdict := word[1]
		if user {
			verdict = word[len(word)-1]
		}
		if verdict != "-" {
			table[word[0]] = strings.Split(verdict, "|")
		}
	}
	assert.Assert(t, len(table) > 150, "%d rows", len(table))
	return table
}

// compare holds what the probe printed to the rows that only selects.
func (table verdicts) compare(t *testing.T, printed string, only ...string) {
	t.Helper()
	seen := map[string]bool{}
	for _, line := range strings.Split(strings.ReplaceAll(strings.TrimSpace(printed), "\r", ""), "\n") {
		what, verdict, _ := strings.Cut(line, " ")
		seen[what] = true
		if want := table[what]; want == nil {
			t.Errorf("not in the golden table: %s", line)
		} else if !slices.Contains(want, verdict) {
			t.Errorf("%s: %s, want %s", what, verdict, strings.Join(want, " or "))
		}
	}
	for what := range table {
		wanted := len(only) == 0 || slices.ContainsFunc(only, func(prefix string) bool { return strings.HasPrefix(what, prefix) })
		if wanted && !seen[what] {
			t.Errorf("%s: the probe said nothing", what)
		}
	}
}

func TestDefaultsAreTheGoldenVerdicts(t *testing.T) {
	e := startProbe(t)
	root, user := goldenVerdicts(t, false), goldenVerdicts(t, true)
	e.must("run", "-d", "--name", "held", "probe", "/probe", "wait")
	e.must("run", "-d", "--name", "user", "-u", "1000", "probe", "/probe", "wait")
	for _, row := range []struct {
		name  string
		table verdicts
		args  []string
	}{
		{"run", root, []string{"run", "--rm", "probe", "/probe"}},
		{"run as 1000", user, []string{"run", "--rm", "-u", "1000", "probe", "/probe"}},
		{"run in its own cgroup namespace", root, []string{"run", "--rm", "--cgroupns", "private", "probe", "/probe"}},
		{"exec", root, []string{"exec", "held", "/probe"}},
		{"exec as 1000", user, []string{"exec", "-u", "1000", "held", "/probe"}},
		{"exec as the container's 1000", user, []string{"exec", "user", "/probe"}},
		{"exec as root in the container of 1000", root, []string{"exec", "-u", "0", "user", "/probe"}},
	} {
		t.Run(row.name, func(t *testing.T) { row.table.compare(t, e.in(t).must(row.args...)) })
	}
}

func TestNothingMoreIsOpenWithATerminal(t *testing.T) {
	e := startProbe(t)
	e.must("run", "-d", "--name", "held", "probe", "/probe", "wait")
	table := goldenVerdicts(t, false)
	t.Run("run", func(t *testing.T) {
		table.compare(t, e.in(t).must("run", "--rm", "-t", "probe", "/probe", "self"), "status", "descriptors")
	})
	t.Run("exec", func(t *testing.T) {
		table.compare(t, e.in(t).must("exec", "-t", "held", "/probe", "self"), "status", "descriptors")
	})
}

// cgroups are the lines of /proc/PID/cgroup: the controllers to the path.
func cgroups(t *testing.T, pid string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/cgroup")
	assert.NilError(t, err)
	found := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		part := strings.SplitN(line, ":", 3)
		assert.Equal(t, len(part), 3, line)
		found[part[1]] = part[2]
	}
	return found
}

func TestEveryCgroupIsBelowTheDaemonsParent(t *testing.T) {
	e := startProbe(t)
	id := e.must("run", "-d", "--name", "held", "probe", "/probe", "wait")
	e.must("exec", "-d", "held", "/probe", "wait")
	var top struct{ Processes [][]string }
	eventually(t, "two processes", func() bool {
		assert.NilError(t, e.JSON("GET", "/containers/held/top", nil, &top))
		return len(top.Processes) == 2
	})
	for _, p := range top.Processes {
		for controllers, path := range cgroups(t, p[1]) {
			if controllers == "" && path == "/" {
				continue // an empty hierarchy of version 2 beside those of version 1
			}
			assert.Equal(t, path, e.CgroupParent+"/"+id, "controllers %q of %v", controllers, p)
		}
	}
}

func TestDeviceListIsExact(t *testing.T) {
	e := startProbe(t)
	list := func(pid string) []string {
		path, ok := cgroups(t, pid)["devices"]
		if !ok {
			t.Skip("no device cgroup of version 1 to read the list of")
		}
		text, err := os.ReadFile("/sys/fs/cgroup/devices" + path + "/devices.list")
		assert.NilError(t, err)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		slices.Sort(lines)
		return lines
	}
	e.must("run", "-d", "--name", "held", "probe", "/probe", "wait")
	assert.DeepEqual(t, list(e.must("inspect", "-f", "{{.State.Pid}}", "held")), []string{
		"b *:* m", "c *:* m", "c 10:200 rwm", "c 136:* rwm", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",
		"c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm",
	})
	e.must("run", "-d", "--name", "one", "--device", "/dev/zero:/dev/none:r", "probe", "/probe", "wait")
	assert.Assert(t, !slices.Contains(list(e.must("inspect", "-f", "{{.State.Pid}}", "one")), "a *:* rwm"))
	e.must("run", "-d", "--name", "all", "--privileged", "probe", "/probe", "wait")
	assert.DeepEqual(t, list(e.must("inspect", "-f", "{{.State.Pid}}", "all")), []string{"a *:* rwm"})
}

func TestHostNamespacesOpenNothingElse(t *testing.T) {
	h := newHost(t)
	e := startProbe(t)
	table := goldenVerdicts(t, false)
	for _, args := range [][]string{{"--ipc", "host"}, {"--uts", "host"}, {"--pid", "host"}, {"--network", "host"}, {"--cgroupns", "private"},
		{"--ipc", "host", "--uts", "host", "--pid", "host", "--network", "host"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			e := e.in(t)
			run := append([]string{"run", "--rm"}, args...)
			protects(t, table, e.must(append(run, "probe", "/probe", "files")...))
			self := values(e.must(append(run, "probe", "/probe", "self")...))
			for what, verdict := range self {
				if strings.HasPrefix(what, "status:") || what == "descriptors" {
					assert.Check(t, slices.Contains(table[what], verdict), "%s: %s, want %v", what, verdict, table[what])
				}
			}
			h.unchanged(t)
		})
	}
}
