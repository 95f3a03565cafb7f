package engineinit

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// compiled is the init, compiled once.
var compiled = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "engine-init-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "init")
	out, err := exec.Command("./build.sh", path).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return path, err
})

func TestMain(m *testing.M) {
	// Whoever started us may ignore some signals (nohup does, a shell in the background too), which
	// programs inherit and a shell can then not trap. Those that are caught become default ones.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGQUIT)
	code := m.Run()
	if path, err := compiled(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// start runs the init; as process 1 of a pid namespace if first is set.
func start(t *testing.T, first bool, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	path, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"--"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // an orphan may keep the pipe open
	if first {
		if os.Geteuid() != 0 {
			t.Skip("needs root for a pid namespace")
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, &out
}

// code waits for the end and gives the exit code, as a supervisor would see it.
func code(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

func TestInitEndsAsItsProgramDid(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("exit 42 # no interpreter is named\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(t.TempDir(), "loop")
	if err := os.Symlink("loop", loop); err != nil {
		t.Fatal(err)
	}
	for _, first := range []bool{true, false} {
		for _, c := range []struct {
			args []string
			code int
			says string
		}{
			{[]string{"true"}, 0, ""},
			{[]string{"sh", "-c", "exit 7"}, 7, ""},
			{[]string{"sh", "-c", "exit 255"}, 255, ""},
			{[]string{"sh", "-c", "kill -KILL $$"}, 137, ""},
			{[]string{"sh", "-c", "kill -SEGV $$"}, 139, ""},
			{[]string{script}, 42, ""},
			{[]string{"no such program"}, 127, "exec no such program failed: No such file or directory"},
			{[]string{""}, 127, "exec  failed: No such file or directory"},
			{[]string{"/no/such/file"}, 127, "exec /no/such/file failed: No such file or directory"},
			{[]string{"/etc"}, 126, "exec /etc failed: Permission denied"},
			{[]string{"/etc/passwd/x"}, 126, "Not a directory"},
			{[]string{loop}, 126, "Too many levels of symbolic links"},
			{[]string{"/" + strings.Repeat("x", 5000)}, 126, "File name too long"},
			{[]string{strings.Repeat("x", 5000)}, 127, "No such file or directory"},
			{nil, 1, "usage:"},
		} {
			t.Run(fmt.Sprint(first, c.args), func(t *testing.T) {
				cmd, out := start(t, first, c.args...)
				if have := code(t, cmd); have != c.code {
					t.Errorf("exit code %d, want %d", have, c.code)
				}
				if !strings.Contains(out.String(), c.says) {
					t.Errorf("it says %q, want %q", out, c.says)
				}
			})
		}
	}
}

func TestInitLooksIntoEachFolderOfPATH(t *testing.T) {
	path, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	closed, open := t.TempDir(), t.TempDir()
	for dir, mode := range map[string]os.FileMode{closed: 0o644, open: 0o755} {
		if err := os.WriteFile(filepath.Join(dir, "it"), []byte("#!/bin/sh\necho found $1\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ path, want string }{
		{"/nosuch:/etc/passwd:" + closed + ":" + open, "found me"},
		{open + ":" + closed, "found me"},
		{"/nosuch:" + closed, "Permission denied"},
		{"/nosuch:" + closed + ":/nosuch", "Permission denied"},
		{"", "No such file"},
		{":::", "No such file"},
	} {
		cmd := exec.Command(path, "--", "it", "me")
		cmd.Env, cmd.Dir = []string{"PATH=" + c.path}, "/"
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), c.want) {
			t.Errorf("PATH=%s: %q, want %q", c.path, out, c.want)
		}
	}
}

func TestInitHandsSignalsOn(t *testing.T) {
	for _, first := range []bool{true, false} {
		if first && os.Geteuid() != 0 {
			continue
		}
		path, err := compiled()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, "--", "bash", "-c", `
			for s in HUP INT QUIT USR1 USR2 TERM WINCH CONT 35; do trap "echo got $s" $s; done
			trap 'exit 3' 40
			echo ready
			while :; do sleep 0.02; done`)
		if first {
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		expect := func(want string) {
			t.Helper()
			if !lines.Scan() || lines.Text() != want {
				t.Fatalf("it says %q, want %q", lines.Text(), want)
			}
		}
		expect("ready")
		for _, s := range []struct {
			sig  syscall.Signal
			name string
		}{
			{unix.SIGHUP, "HUP"}, {unix.SIGINT, "INT"}, {unix.SIGQUIT, "QUIT"}, {unix.SIGUSR1, "USR1"}, {unix.SIGUSR2, "USR2"},
			{unix.SIGTERM, "TERM"}, {unix.SIGWINCH, "WINCH"}, {unix.SIGCONT, "CONT"}, {35, "35"},
		} {
			if err := cmd.Process.Signal(s.sig); err != nil {
				t.Fatal(err)
			}
			expect("got " + s.name)
		}
		if err := cmd.Process.Signal(syscall.Signal(40)); err != nil {
			t.Fatal(err)
		}
		if have := code(t, cmd); have != 3 {
			t.Errorf("exit code %d, want 3", have)
		}
		timer.Stop()
	}
}

// children lists the processes that pid is the parent of.
func children(t *testing.T, pid int) map[int]bool {
	t.Helper()
	found := map[int]bool{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, rest, _ := bytes.Cut(text, []byte(") "))
		words := strings.Fields(string(rest))
		if len(words) > 1 && words[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(strings.Split(path, "/")[2])
			found[child] = true
		}
	}
	return found
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not so after 30 s: " + what)
		}
	}
}

// Also in a pid namespace whose first process is another: there it must make itself the one that orphans go to.
func TestInitReapsOrphans(t *testing.T) {
	for _, first := range []bool{true, false} {
		cmd, _ := start(t, first, "sh", "-c", `for i in $(seq 200); do (sleep 0.1 &) ; done; (sleep 1000 &); exec sleep 1000`)
		until(t, "the program and the orphan that lives are its only children", func() bool {
			have := children(t, cmd.Process.Pid)
			for pid := range have { // a zombie has no command line
				if text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); string(text) != "sleep\x001000\x00" {
					return false
				}
			}
			return len(have) == 2
		})
		orphans := children(t, cmd.Process.Pid)
		if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if have := code(t, cmd); have != 143 {
			t.Errorf("exit code %d, want 143", have)
		}
		for pid := range orphans {
			if !first {
				_ = unix.Kill(pid, unix.SIGKILL) // the engine does it by cgroup
			}
		}
	}
}

func TestInitHasNoDescriptorsOfItsOwnAndWeighsNothing(t *testing.T) {
	cmd, _ := start(t, true, "sh", "-c", "exec sleep 1000")
	until(t, "the program runs", func() bool { return len(children(t, cmd.Process.Pid)) == 1 })
	// Whoever runs the tests may have left us some, which a program without the init has too.
	plain := exec.Command("sleep", "1000")
	if err := plain.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plain.Process.Kill(); _ = plain.Wait() })
	// A program that is just being loaded has the files open that it is loaded from.
	var last string
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(last)
		}
	})
	until(t, "all three have the same descriptors open", func() bool {
		want := descriptors(t, plain.Process.Pid)
		for pid := range children(t, cmd.Process.Pid) {
			for _, p := range []int{cmd.Process.Pid, pid} {
				if have := descriptors(t, p); !slices.Equal(have, want) {
					last = fmt.Sprintf("process %d has %v open, want %v", p, have, want)
					return false
				}
			}
		}
		return true
	})
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != "VmRSS" && name != "VmSize" {
			continue
		}
		t.Logf("%s %s", name, strings.TrimSpace(value))
		kb, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		if name == "VmRSS" && kb > 100 {
			t.Errorf("the init takes %d kB of memory", kb)
		}
	}
}

func descriptors(t *testing.T, pid int) (names []string) {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		names = append(names, fd.Name())
	}
	return names
}

// A parent that ignores SIGCHLD has the kernel reap its children and lose their codes.
func TestInitKnowsTheCodeAlsoWhereSIGCHLDIsIgnored(t *testing.T) {
	path, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `trap '' CHLD; exec "$0" -- sh -c 'exit 9'`, path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if have := code(t, cmd); have != 9 {
		t.Errorf("exit code %d, want 9", have)
	}
}
