//go:build system

package test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// anotherBuild makes a copy of the program whose supervisor, too, is another
// build: a sentence that both have begins with another letter.
func anotherBuild(t *testing.T) string {
	t.Helper()
	bin, err := harness.EngineBinary()
	assert.NilError(t, err)
	program, err := os.ReadFile(bin)
	assert.NilError(t, err)
	sentence := []byte("the exit code is unknown: the process ended")
	assert.Assert(t, bytes.Contains(program, sentence))
	program = bytes.ReplaceAll(program, sentence, []byte("The exit code is unknown: the process ended"))
	path := filepath.Join(t.TempDir(), "engine")
	assert.NilError(t, os.WriteFile(path, program, 0o755))
	return path
}

// programOf is the checksum of what a process runs.
func programOf(t *testing.T, pid int) string {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/exe", pid))
	assert.NilError(t, err)
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	assert.NilError(t, err)
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func descriptorsOf(t *testing.T, pid int) int {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	assert.NilError(t, err)
	return len(all)
}

// TestANewDaemonUpgradesTheSupervisorInPlace: daemons of two builds in turn, each
// after the death or the clean stop of the other, while containers print flat out.
func TestANewDaemonUpgradesTheSupervisorInPlace(t *testing.T) {
	e := startLoaded(t)
	bin, err := harness.EngineBinary()
	assert.NilError(t, err)
	builds := []string{anotherBuild(t), bin}
	const rounds = 6

	e.must("run", "-d", "--name", "flood", "busybox", "sh", "-c", "i=0; while [ ! -e /stop ]; do echo $i; i=$((i+1)); done; exit 3")
	e.must("run", "-d", "--name", "ticks", "--log-opt", "max-size=10k", "--log-opt", "max-file=1000", "busybox", "sh", "-c",
		"i=0; while [ ! -e /stop ]; do echo $i; i=$((i+1)); sleep 0.01; done; exit 4")
	e.must("run", "-dit", "--name", "screen", "busybox", "sh", "-c", "while read a; do echo got $a; done")
	e.must("run", "-di", "--name", "typed", "busybox", "sh", "-c", "while read a; do echo got $a; done; exit 5")
	e.must("exec", "-d", "typed", "sh", "-c", "while [ ! -e /stop ]; do sleep 0.02; done; echo done >/done")
	pids := map[string]string{}
	for _, name := range []string{"flood", "ticks", "screen", "typed"} {
		pids[name] = e.must("inspect", "-f", "{{.State.Pid}}", name)
	}
	supervisor := parentOf(t, pids["flood"])
	last, before := programOf(t, supervisor), descriptorsOf(t, supervisor)
	for n := range rounds {
		if n%2 == 0 {
			e.Kill()
		} else {
			assert.NilError(t, e.Stop())
		}
		e.Use(builds[n%2])
		assert.NilError(t, e.Start())
		for name, pid := range pids {
			assert.Equal(t, e.must("inspect", "-f", "{{.State.Running}} {{.State.Pid}}", name), "true "+pid)
			assert.Equal(t, parentOf(t, pid), supervisor)
			assert.Equal(t, e.must("exec", name, "echo", "in"), "in")
		}
		now := programOf(t, supervisor)
		assert.Assert(t, now != last, "it runs what it ran before")
		last = now
	}
	// The verb does the same without another build.
	out := e.must("job", "supervisor_upgrade")
	assert.Assert(t, strings.Contains(out, fmt.Sprintf(`"Pid":%d`, supervisor)), out)
	eventually(t, "no descriptor more than before", func() bool { return descriptorsOf(t, supervisor) <= before })

	term, err := e.Command(e.cli, "attach", "--detach-keys", "ctrl-x", "screen").Terminal()
	assert.NilError(t, err)
	assert.NilError(t, term.Type("word\n"))
	assert.NilError(t, term.Expect("got word"))
	assert.NilError(t, term.Type("\x18"))
	_, err = term.Wait()
	assert.NilError(t, err)
	// Whose stdin had ended, it would have too.
	assert.Equal(t, e.must("inspect", "-f", "{{.State.Running}}", "typed"), "true")
	for name, pid := range pids {
		assert.NilError(t, os.WriteFile("/proc/"+pid+"/root/stop", nil, 0o600), name)
	}
	eventually(t, "the exec has ended by itself", func() bool {
		_, err := os.Stat("/proc/" + pids["typed"] + "/root/done")
		return err == nil
	})
	for name, code := range map[string]string{"flood": "3", "ticks": "4"} {
		assert.Equal(t, e.must("wait", name), code)
		wantCount(t, e.logFiles(name))
	}
	assert.NilError(t, syscall.Kill(atoi(t, pids["screen"]), syscall.SIGKILL))
	assert.Equal(t, e.must("wait", "screen"), "137")
}

// logFiles are a container's log files, oldest first.
func (e *engine) logFiles(name string) []string {
	e.t.Helper()
	path := e.must("inspect", "-f", "{{.LogPath}}", name)
	files := []string{path}
	for n := 1; ; n++ {
		older := fmt.Sprintf("%s.%d", path, n)
		if _, err := os.Stat(older); err != nil {
			return files
		}
		files = append([]string{older}, files...)
	}
}

// wantCount reads the log of a container that counts from 0 on: no line may be
// missing, doubled or torn. It gives how many there are.
func wantCount(t *testing.T, files []string) (lines int) {
	t.Helper()
	return wantCountFrom(t, files, 0)
}

// wantCountFrom is wantCount from a line on; -1 is the one that comes first.
func wantCountFrom(t *testing.T, files []string, first int) (lines int) {
	t.Helper()
	for _, path := range files {
		f, err := os.Open(path)
		assert.NilError(t, err)
		for in := bufio.NewReader(f); ; lines++ {
			text, err := in.ReadString('\n')
			if err == io.EOF && text == "" {
				break
			}
			assert.NilError(t, err, "%s: line %d is torn: %q", path, lines, text)
			var record struct{ Log string }
			assert.NilError(t, json.Unmarshal([]byte(text), &record), "%s: line %d is torn: %q", path, lines, text)
			if first < 0 {
				_, err := fmt.Sscan(record.Log, &first)
				assert.NilError(t, err)
			}
			if record.Log != strconv.Itoa(first+lines)+"\n" {
				t.Fatalf("%s: %q in place of line %d", path, record.Log, first+lines)
			}
		}
		f.Close()
	}
	return lines
}
