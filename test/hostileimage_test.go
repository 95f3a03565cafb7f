//go:build system

package test

import (
	"archive/tar"
	"fmt"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// hostileTrees are what an image can have in the places where an engine mounts
// or writes. aim is a folder of the host.
func hostileTrees(aim string) map[string][]harness.Entry {
	up := strings.Repeat("../", 20) + aim[1:]
	fifo := func(name string) harness.Entry {
		return harness.Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeFifo, Mode: 0o666}}
	}
	rows := map[string][]harness.Entry{
		"sys/fs/cgroup is a symlink":       {harness.Dir("sys"), harness.Dir("sys/fs"), harness.Symlink("sys/fs/cgroup", aim)},
		"dev/pts is a symlink":             {harness.Dir("dev"), harness.Symlink("dev/pts", aim)},
		"dev/shm is a symlink":             {harness.Dir("dev"), harness.Symlink("dev/shm", aim)},
		"dev/null is a symlink":            {harness.Dir("dev"), harness.Symlink("dev/null", aim+"/secret")},
		"dev/console is a symlink":         {harness.Dir("dev"), harness.Symlink("dev/console", aim+"/secret")},
		"dev and proc are each other":      {harness.Symlink("dev", "proc"), harness.Symlink("proc", "dev")},
		"proc is sys":                      {harness.Symlink("proc", "sys"), harness.Dir("sys")},
		"dev is a magic link":              {harness.Symlink("dev", "/proc/self/root")},
		"dev is the cwd of another":        {harness.Symlink("dev", "/proc/1/cwd")},
		"etc is a magic link":              {harness.Symlink("etc", "/proc/self/cwd")},
		"etc/hosts is a folder":            {harness.Dir("etc"), harness.Dir("etc/hosts")},
		"etc/mtab is a symlink":            {harness.Dir("etc"), harness.Symlink("etc/mtab", aim+"/secret")},
		"etc/hosts is a hard link":         {harness.Dir("etc"), harness.File("etc/passwd", ""), harness.Link("etc/hosts", "etc/passwd")},
		"etc/passwd is the host's":         {harness.Dir("etc"), harness.Symlink("etc/passwd", aim+"/passwd")},
		"etc/group is the host's":          {harness.Dir("etc"), harness.Symlink("etc/group", up+"/passwd")},
		"etc/passwd is a FIFO":             {harness.Dir("etc"), fifo("etc/passwd"), fifo("etc/group")},
		"etc/passwd has no end":            {harness.Dir("etc"), harness.Symlink("etc/passwd", "/dev/zero")},
		"etc/passwd is an endless device":  {harness.Dir("etc"), harness.Device("etc/passwd", tar.TypeChar, 1, 5)},
		"etc/passwd is a loop":             {harness.Dir("etc"), harness.Symlink("etc/passwd", "passwd")},
		"etc/passwd is a folder":           {harness.Dir("etc"), harness.Dir("etc/passwd")},
		"the target of a volume":           {harness.Symlink("volume", aim)},
		"the target of a volume, upwards":  {harness.Symlink("volume", up)},
		"the target of a volume is a file": {harness.File("volume", "")},
		"the working folder":               {harness.Symlink("l", aim)},
		"the working folder, dangling":     {harness.Symlink("l", aim+"/new")},
		"the working folder, upwards":      {harness.Symlink("l", up)},
		"the target of a tmpfs":            {harness.Symlink("scratch", aim)},
	}
	for _, name := range []string{"dev", "proc", "sys", "etc"} {
		rows[name+" is a symlink"] = []harness.Entry{harness.Symlink(name, aim)}
		rows[name+" is a symlink upwards"] = []harness.Entry{harness.Symlink(name, up)}
		rows[name+" is a dangling symlink"] = []harness.Entry{harness.Symlink(name, aim+"/new")}
		rows[name+" is a file"] = []harness.Entry{harness.File(name, "")}
		rows[name+" is a FIFO"] = []harness.Entry{fifo(name)}
	}
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
		rows[name+" is a symlink"] = []harness.Entry{harness.Dir("etc"), harness.Symlink("etc/"+name, aim+"/"+name)}
		rows[name+" is a dangling symlink"] = []harness.Entry{harness.Dir("etc"), harness.Symlink("etc/"+name, aim+"/new")}
		rows[name+" is a symlink upwards"] = []harness.Entry{harness.Dir("etc"), harness.Symlink("etc/"+name, up+"/"+name)}
		rows[name+" is a FIFO"] = []harness.Entry{harness.Dir("etc"), fifo("etc/" + name)}
	}
	return rows
}

// What an image has where the engine mounts and writes stays inside, or keeps
// the container from starting. A container that starts has all that protects
// the host.
func TestHostileImagesDoNotReachTheHost(t *testing.T) {
	h := newHost(t)
	entries := probeEntries(t)
	e := start(t)
	table := goldenVerdicts(t, false)
	bind, started := t.TempDir(), 0
	for name, tree := range hostileTrees(h.aim) {
		t.Run(name, func(t *testing.T) {
			e := e.in(t)
			if !e.importImage("hostile", append(entries, tree...)...) {
				return // refused: good as well
			}
			args := []string{"run", "--rm", "--tmpfs", "/scratch", "-v", bind + ":/volume/sub", "-w", "/l/x/y",
				"--hostname", "hostile", "hostile", "/probe", "files"}
			for _, terminal := range []bool{false, true} {
				if terminal {
					args = append([]string{"run", "-t"}, args[1:]...)
				}
				res := e.any(args...)
				h.unchanged(t)
				t.Logf("exit %d %.300s", res.Code, res.Stderr)
				if res.Code >= 125 {
					assert.Assert(t, strings.Contains(res.Stderr, "Error response from daemon"), res.String())
					continue
				}
				assert.Equal(t, res.Code, 0, res.String())
				protects(t, table, res.Stdout)
				started++
			}
		})
	}
	// Most are harmless once links end inside; none starting would prove nothing.
	assert.Assert(t, started >= 60, "%d containers started", started)
	assert.Equal(t, e.must("ps", "-aq"), "")
}

// protects holds the rows that keep the host safe to the table; an image may
// well have another /etc/hosts.
func protects(t *testing.T, table verdicts, printed string) {
	t.Helper()
	var lines []string
	for _, line := range strings.Split(printed, "\n") {
		for _, kind := range []string{"masked:", "write:", "mount:/proc", "mount:/sys", "create:/sys", "create:/proc", "node:/dev/null", "node:/dev/mem"} {
			if strings.HasPrefix(line, kind) {
				lines = append(lines, line)
			}
		}
	}
	table.compare(t, strings.Join(lines, "\n"), "masked:", "write:")
}

func TestWorkingFolderIsNoDescriptorOfTheEngine(t *testing.T) {
	h := newHost(t)
	e := startProbe(t)
	e.must("run", "-d", "--name", "held", "probe", "/probe", "wait")
	for _, where := range []string{"/proc/self/fd", "/proc/thread-self/fd", "/proc/1/fd", "/dev/fd"} {
		for n := 3; n <= 30; n++ {
			if where != "/proc/self/fd" && n%4 != 3 {
				continue // the numbers are tried once, the names each with some
			}
			dir := fmt.Sprintf("%s/%d", where, n)
			for _, args := range [][]string{{"run", "--rm", "-w", dir, "probe"}, {"exec", "-w", dir, "held"}} {
				res := e.any(append(args, "/probe", "self")...)
				assert.Assert(t, res.Code != 0, "%v: %s", args, res)
				assert.Assert(t, !strings.Contains(res.Stdout, "cwd-is-root"), "%v: the program ran: %s", args, res)
			}
		}
	}
	h.unchanged(t)
}

func TestWorkingFolderOfAnImageIsNoDescriptorOfTheEngine(t *testing.T) {
	h := newHost(t)
	body, err := probe()
	assert.NilError(t, err)
	e := start(t)
	layer := harness.Tar(harness.Entry{Header: tar.Header{Name: "probe", Typeflag: tar.TypeReg, Mode: 0o755}, Body: body},
		harness.Symlink("through", "/proc/self/fd/7"))
	for _, dir := range []string{"/proc/self/fd/7", "/proc/self/fd/8/../../../..", "/through", "/through/..", "/proc/self/fd/../../1/root"} {
		archive := harness.ImageArchive("cwd:latest", [][]byte{layer}, func(p *harness.ImageParts) {
			p.ConfigBody["config"] = map[string]any{"Cmd": []string{"/probe", "self"}, "WorkingDir": dir}
		})
		code, text, _, err := e.Do("POST", "/images/load?quiet=1", strings.NewReader(string(archive)))
		assert.NilError(t, err)
		assert.Equal(t, code, 200, text)
		res := e.any("run", "--rm", "cwd")
		// What ran, ran in a folder that it sees.
		if res.Code == 0 {
			assert.Assert(t, !strings.Contains(res.Stdout, "cwd-is-root EN"), "%s: %s", dir, res)
		}
	}
	h.unchanged(t)
}

func TestMountsOverWhatProtectsAreRefused(t *testing.T) {
	h := newHost(t)
	e := startProbe(t)
	for _, target := range []string{"/proc", "/proc/self", "/proc/sys", "/proc/sys/kernel", "/proc/1", "/proc/../proc", "/", "/proc/sysrq-trigger",
		"/proc/self/attr/exec", "/proc/self/fd/0"} {
		for _, args := range [][]string{{"-v", h.aim + ":" + target}, {"-v", "vol:" + target}, {"-v", h.aim + "/secret:" + target}, {"--tmpfs", target}} {
			res := e.any(append(append([]string{"run", "--rm"}, args...), "probe", "/probe", "self")...)
			assert.Assert(t, res.Code == 125 || res.Code == 126 || res.Code == 127, "%v: %s", args, res)
			assert.Equal(t, res.Stdout, "", "%v", args)
			h.unchanged(t)
		}
	}
	assert.Equal(t, e.must("ps", "-aq"), "")
}
