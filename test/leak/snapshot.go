package leak

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// Snapshot is all of the machine that a test could leave something in: for
// each kind, what exists (an identity) and how to call it in a report.
type Snapshot map[string]map[string]string

// Take looks at the machine. The named folders are listed one level deep.
func Take(dirs ...string) Snapshot {
	s := Snapshot{}
	add := func(kind, id, text string) {
		if s[kind] == nil {
			s[kind] = map[string]string{}
		}
		s[kind][id] = text
	}
	for _, p := range processes() {
		if p.Pid == os.Getpid() || !tied(p) {
			continue
		}
		add("process", p.key(), p.String()+" in "+firstCgroup(p))
		for _, kind := range []string{"net", "mnt", "pid", "ipc", "uts"} {
			if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", p.Pid, kind)); err == nil {
				add("namespace", ns, fmt.Sprintf("namespace %s of %s", ns, p))
			}
		}
	}
	seen := map[mount]int{} // the same place may be mounted over twice
	for _, m := range mounts() {
		seen[m]++
		add("mount", fmt.Sprintf("%s#%d", m, seen[m]), m.String())
	}
	for _, top := range hierarchies() {
		callers := callersGroup(top)
		for _, dir := range dirsBelow(top) {
			if callers == "" || !within(dir, callers) {
				add("cgroup", dir, "cgroup "+dir)
			}
		}
	}
	interfaces, _ := net.Interfaces() // of our own namespace; /sys shows that of whoever mounted it
	for _, i := range interfaces {
		add("interface", i.Name, "interface "+i.Name)
	}
	for _, n := range list("/run/netns") {
		add("netns", n, "named network namespace "+n)
	}
	for _, cmd := range [][]string{{"nft", "list", "ruleset"}, {"iptables-save"}, {"ip6tables-save"}} {
		for _, line := range output(cmd) {
			add("rule", cmd[0]+" "+line, cmd[0]+": "+line)
		}
	}
	for _, dir := range dirs {
		for _, name := range list(dir) {
			path := filepath.Join(dir, name)
			add("file", path, "file "+path)
		}
	}
	return s
}

// RunMark is an environment variable that whatever a checked run starts
// inherits.
const RunMark = "ENGINE_LEAKCHECK=run"

// tied tells whether a process can come from a run: it inherited its mark, or
// names the engine in its command line, its folders or its cgroup. The
// machine's own services are not our concern.
func tied(p process) bool {
	for _, text := range []string{p.Environ, p.Cmdline, p.Exe, p.Cgroup} {
		if strings.Contains(text, RunMark) || strings.Contains(text, "engine") {
			return true
		}
	}
	return strings.Contains(p.Cgroup, "/oracle")
}

func firstCgroup(p process) string {
	line, _, _ := strings.Cut(p.Cgroup, "\n")
	return line
}

func list(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// output gives the lines of a listing without its packet counters and dates.
func output(cmd []string) []string {
	b, err := exec.Command(cmd[0], cmd[1:]...).Output()
	if err != nil {
		return nil // not on this machine
	}
	text := regexp.MustCompile(`\[\d+:\d+\]|packets \d+ bytes \d+`).ReplaceAllString(string(b), "")
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

// Compare lists what is there now and was not before. With only, just what it
// matches is reported: for a machine on which others work.
func Compare(before, now Snapshot, only *regexp.Regexp) []string {
	var found []string
	for kind, things := range now {
		for id, text := range things {
			if _, was := before[kind][id]; was || (only != nil && !only.MatchString(text)) {
				continue
			}
			found = append(found, text)
		}
	}
	sort.Strings(found)
	return found
}
