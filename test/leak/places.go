package leak

import (
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

func nap() { time.Sleep(20 * time.Millisecond) }

type mount struct{ Point, Type, Source string }

func (m mount) String() string { return "mount " + m.Point + " (" + m.Type + ", " + m.Source + ")" }

func mounts() []mount {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	var all []mount
	for _, line := range strings.Split(string(b), "\n") {
		left, right, ok := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if ok && len(l) > 4 && len(r) > 1 {
			all = append(all, mount{Point: unescape(l[4]), Type: r[0], Source: r[1]})
		}
	}
	return all
}

// The kernel writes space, tab, newline and backslash as octal.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// hierarchies lists the tops of all cgroup trees: several for v1 and hybrid
// hosts, one for v2.
func hierarchies() []string {
	var tops []string
	for _, m := range mounts() {
		if m.Type == "cgroup" || m.Type == "cgroup2" {
			tops = append(tops, m.Point)
		}
	}
	return tops
}

// callersGroup gives the group in which whoever called us makes a group for each
// of its jobs, ours among them; "" if there is none. What comes and goes there is not ours.
func callersGroup(top string) string {
	own, _ := os.ReadFile("/proc/self/cgroup")
	for _, line := range strings.Split(string(own), "\n") {
		_, rest, _ := strings.Cut(line, ":")
		controllers, path, _ := strings.Cut(rest, ":")
		if filepath.Base(top) == strings.TrimPrefix(controllers, "name=") && strings.Count(path, "/") > 1 {
			return top + filepath.Dir(path)
		}
	}
	return ""
}

// cgroupsBelow lists the groups of a parent in all hierarchies, deepest first,
// the parent included.
func cgroupsBelow(parent string) []string {
	if parent == "" {
		return nil
	}
	var found []string
	for _, top := range hierarchies() {
		found = append(found, dirsBelow(top+parent)...)
	}
	return found
}

func dirsBelow(top string) []string {
	var dirs []string
	filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	sort.Slice(dirs, func(i, j int) bool { return len(dirs[i]) > len(dirs[j]) })
	return dirs
}
