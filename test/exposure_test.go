//go:build system

package test

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

func digestOf(t *testing.T, path string) string {
	t.Helper()
	body, err := os.ReadFile(path)
	assert.NilError(t, err)
	return fmt.Sprintf("%x", sha256.Sum256(body))
}

// CVE-2019-5736, CVE-2016-9962, CVE-2024-21626: what the engine sends into a
// container shows nothing of the host to those who wait for it there, and the
// programs that it runs cannot be written through it.
func TestWhatEntersAContainerGivesNothingAway(t *testing.T) {
	h := newHost(t)
	e := startProbe(t)
	e.must("run", "-d", "--name", "spy", "probe", "/probe", "spy", h.aim+"/secret")
	supervisor := fmt.Sprintf("/proc/%d/exe", parentOf(t, e.must("inspect", "-f", "{{.State.Pid}}", "spy")))
	before := digestOf(t, e.cli.Path) + digestOf(t, supervisor)
	eventually(t, "the spy is at work", func() bool { return strings.Contains(e.must("logs", "spy"), "spying") })
	for range 40 {
		e.must("exec", "spy", "/probe", "self")
	}
	e.must("exec", "-t", "spy", "/probe", "self")
	e.must("exec", "-u", "1000", "spy", "/probe", "self")
	seen := e.must("logs", "spy")
	assert.Assert(t, strings.Contains(seen, "exe /probe"), "the spy saw no exec at all: %s", seen)
	for _, line := range strings.Split(seen, "\n") {
		what, which, _ := strings.Cut(line, " ")
		switch {
		case what == "WRITABLE", what == "REACHED",
			(what == "exe" || what == "traced") && which != "/probe" && which != "",
			what == "cwd" && which != "/",
			strings.Contains(which, e.Dir), strings.Contains(which, "memfd"), strings.Contains(which, "engine"):
			t.Errorf("the spy saw: %s", line)
		}
	}
	assert.Equal(t, digestOf(t, e.cli.Path)+digestOf(t, supervisor), before)
	h.unchanged(t)
}

func TestTheEnginesProgramsCannotBeRunOrWrittenFromInside(t *testing.T) {
	h := newHost(t)
	body, err := probe()
	assert.NilError(t, err)
	box, err := os.ReadFile("/bin/busybox")
	assert.NilError(t, err)
	program := func(name string, body []byte) harness.Entry {
		return harness.Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755}, Body: body}
	}
	e := start(t)
	assert.Assert(t, e.importImage("evil", program("probe", body), program("busybox", box), program("self", []byte("#!/proc/self/exe\n")),
		harness.Symlink("exe", "/proc/self/exe"), program("writer", []byte("#!/busybox sh\nfor n in 1 2 3; do for p in /proc/[0-9]*; do echo x 2>/dev/null >$p/exe && echo written $p; done; done\n"))))
	e.must("run", "-d", "--name", "held", "evil", "/probe", "wait")
	supervisor := fmt.Sprintf("/proc/%d/exe", parentOf(t, e.must("inspect", "-f", "{{.State.Pid}}", "held")))
	before := digestOf(t, e.cli.Path) + digestOf(t, supervisor)
	for _, program := range []string{"/self", "/exe", "/proc/self/exe", "/proc/1/exe", "/proc/self/fd/3", "/proc/self/fd/7", "/proc/thread-self/exe"} {
		for _, args := range [][]string{{"run", "--rm", "evil", program, "init"}, {"exec", "held", program, "init"}} {
			res := e.any(args...)
			// The probe is what /proc/1/exe is in the container that runs it; it has no verb init.
			ran := args[0] == "exec" && program == "/proc/1/exe"
			assert.Assert(t, ran || res.Code != 0, "%v: %s", args, res)
		}
	}
	for range 10 {
		res := e.any("exec", "held", "/writer")
		assert.Assert(t, !strings.Contains(res.Stdout, "written"), res.String())
	}
	assert.Equal(t, digestOf(t, e.cli.Path)+digestOf(t, supervisor), before)
	assert.Equal(t, e.must("exec", "held", "/busybox", "echo", "fine"), "fine")
	h.unchanged(t)
}

// CVE-2020-15257: an abstract socket can be reached from the host's network.
func TestNoSocketOfTheEngineIsAbstract(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "held", "--network", "host", "busybox", "sleep", "1000")
	ours := map[string]bool{}
	for _, pid := range []int{e.Pid(), parentOf(t, e.must("inspect", "-f", "{{.State.Pid}}", "held"))} {
		fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		assert.NilError(t, err)
		for _, fd := range fds {
			if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:[") {
				ours[strings.Trim(to, "socket:[]")] = true
			}
		}
	}
	assert.Assert(t, len(ours) >= 2, "%d sockets", len(ours))
	found := 0
	for _, line := range strings.Split(e.must("exec", "held", "cat", "/proc/net/unix"), "\n") {
		if f := strings.Fields(line); len(f) >= 7 && ours[f[6]] {
			found++
			if len(f) > 7 {
				assert.Assert(t, strings.HasPrefix(f[7], "/"), "an abstract socket: %s", line)
			}
		}
	}
	assert.Assert(t, found >= 2, "%d of our sockets are in the list", found)
}

func TestOthersOnTheHostSeeNothing(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "held", "-e", "SECRET=x", "busybox", "sh", "-c", "cp /bin/busybox /setuid; chmod 4755 /setuid; exec sleep 1000")
	assert.NilError(t, os.Chmod(e.Dir, 0o755)) // the harness keeps others out itself
	for path, want := range map[string]fs.FileMode{e.DataRoot: 0o710, e.ExecRoot: 0o700, e.Socket: 0o660} {
		st, err := os.Stat(path)
		assert.NilError(t, err)
		assert.Assert(t, st.Mode().Perm()&^want == 0, "%s has mode %o, want %o", path, st.Mode().Perm(), want)
	}
	sockets := 0
	for _, root := range []string{e.DataRoot, e.ExecRoot} {
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			st, err := d.Info()
			if err != nil {
				return nil
			}
			if d.Type()&fs.ModeSocket != 0 {
				sockets++
				assert.Check(t, st.Mode().Perm() == 0o600, "%s has mode %o", path, st.Mode().Perm())
			}
			if name := d.Name(); name == "container.json" || name == "exit.json" || name == "config.json" {
				assert.Check(t, st.Mode().Perm()&0o077 == 0, "%s has mode %o", path, st.Mode().Perm())
			}
			return nil
		})
	}
	assert.Assert(t, sockets > 0, "no socket of the supervisor")
	merged := e.must("inspect", "-f", "{{.GraphDriver.Data.MergedDir}}", "held")
	for _, args := range [][]string{
		{"ls", e.DataRoot}, {"ls", e.ExecRoot}, {"ls", e.DataRoot + "/containers"}, {"ls", merged}, {merged + "/setuid", "true"},
		{"cat", e.DataRoot + "/containers/" + e.must("inspect", "-f", "{{.Id}}", "held") + "/container.json"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
		out, err := cmd.CombinedOutput()
		assert.Check(t, err != nil, "%v as uid 1000: %s", args, out)
	}
}

func TestTheDaemonsEnvironmentStaysOutside(t *testing.T) {
	h := newHost(t)
	e := startLoaded(t)
	names := func(env string) string {
		var list []string
		for _, line := range strings.FieldsFunc(env, func(r rune) bool { return r == '\n' || r == 0 }) {
			name, _, _ := strings.Cut(line, "=")
			list = append(list, name)
		}
		return strings.Join(list, " ")
	}
	e.must("run", "-d", "--name", "held", "busybox", "sleep", "1000")
	e.must("exec", "held", "touch", "/dev/shm/PWNED", "/dev/PWNED")
	assert.Equal(t, names(e.must("run", "--rm", "busybox", "cat", "/proc/self/environ")), "PATH HOSTNAME HOME")
	assert.Equal(t, names(e.must("exec", "held", "cat", "/proc/self/environ")), "PATH HOSTNAME HOME")
	assert.Equal(t, names(e.must("exec", "held", "cat", "/proc/1/environ")), "PATH HOSTNAME HOME")
	h.unchanged(t)
}

func TestParallelContainersSeeTheirOwnEnvironmentOnly(t *testing.T) {
	e := startLoaded(t)
	const n = 50
	var all sync.WaitGroup
	slots := make(chan struct{}, 10)
	for i := range n {
		name := fmt.Sprintf("env%d", i)
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			err := e.JSON("POST", "/containers/create?name="+name, map[string]any{"Image": "busybox", "Env": []string{"MINE=" + name, name + "=1"}, "Cmd": []string{"env"}}, nil)
			if err == nil {
				err = e.JSON("POST", "/containers/"+name+"/start", nil, nil)
			}
			if err == nil {
				err = e.JSON("POST", "/containers/"+name+"/wait", nil, nil)
			}
			assert.Check(t, err)
		})
	}
	all.Wait()
	for i := range n {
		name := fmt.Sprintf("env%d", i)
		var others []string
		for _, line := range strings.Split(e.must("logs", name), "\n") {
			key, value, _ := strings.Cut(line, "=")
			switch {
			case key == "MINE" && value == name, key == name, key == "PATH", key == "HOSTNAME", key == "HOME":
			default:
				others = append(others, line)
			}
		}
		assert.Equal(t, len(others), 0, "%s sees %v", name, others)
	}
}
