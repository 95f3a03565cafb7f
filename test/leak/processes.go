package leak

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is what /proc says of one process. Its identity is pid and start
// time: a pid alone may be used again.
type process struct {
	Pid     int
	Start   string
	State   string
	Parent  int
	Cmdline string
	Exe     string
	Environ string
	Cgroup  string
}

func (p process) key() string { return fmt.Sprintf("%d@%s", p.Pid, p.Start) }

func (p process) String() string {
	what := p.Cmdline
	if what == "" {
		what = p.Exe
	}
	state := ""
	if p.State == "Z" {
		state = " (zombie)"
	}
	return fmt.Sprintf("process %d%s: %s", p.Pid, state, what)
}

// processes lists all that run, without kernel threads.
func processes() []process {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var all []process
	for _, dir := range dirs {
		p, ok := readProcess(dir)
		if ok && p.Parent != 2 && p.Pid != 2 {
			all = append(all, p)
		}
	}
	return all
}

func readProcess(dir string) (process, bool) {
	pid, err := strconv.Atoi(filepath.Base(dir))
	if err != nil {
		return process{}, false
	}
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return process{}, false // it has ended meanwhile
	}
	// The name in parentheses may hold spaces and parentheses itself.
	line := string(stat)
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	fields := strings.Fields(line[end+1:])
	if len(fields) < 20 {
		return process{}, false
	}
	p := process{Pid: pid, State: fields[0], Start: fields[19], Exe: line[open+1 : end]}
	p.Parent, _ = strconv.Atoi(fields[1])
	read := func(name string) string {
		b, _ := os.ReadFile(dir + "/" + name)
		return strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))
	}
	p.Cmdline, p.Environ, p.Cgroup = read("cmdline"), read("environ"), read("cgroup")
	if exe, err := os.Readlink(dir + "/exe"); err == nil {
		p.Exe = exe
	}
	return p, true
}
