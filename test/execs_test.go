//go:build system

package test

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

type execState struct {
	Running  bool
	ExitCode *int
	Pid      int
}

func (s execState) String() string {
	code := "none"
	if s.ExitCode != nil {
		code = strconv.Itoa(*s.ExitCode)
	}
	return fmt.Sprintf("running %v, code %s", s.Running, code)
}

func (e *engine) execCreate(container string, tty, attach bool, script string) (id string) {
	e.t.Helper()
	var out struct{ ID string }
	assert.NilError(e.t, e.JSON("POST", "/containers/"+container+"/exec", map[string]any{
		"Cmd": []string{"sh", "-c", script}, "Tty": tty, "AttachStdin": attach, "AttachStdout": attach, "AttachStderr": attach,
	}, &out))
	return out.ID
}

func (e *engine) execDetached(container, script string) (id string) {
	e.t.Helper()
	id = e.execCreate(container, false, false, script)
	assert.NilError(e.t, e.JSON("POST", "/exec/"+id+"/start", map[string]any{"Detach": true}, nil))
	return id
}

func (e *engine) exec(id string) (s execState) {
	e.t.Helper()
	assert.NilError(e.t, e.JSON("GET", "/exec/"+id+"/json", nil, &s))
	return s
}

// TestExecsOutliveTheDaemon: those that run, those that end while it is away,
// those that were only created, and those that have ended.
func TestExecsOutliveTheDaemon(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "web", "busybox", "sleep", "1000")
	root := "/proc/" + e.must("inspect", "-f", "{{.State.Pid}}", "web") + "/root"
	touch := func(name string) { assert.NilError(t, os.WriteFile(root+"/"+name, nil, 0o600)) }

	runs := e.execDetached("web", "while [ ! -e /go ]; do sleep 0.02; done; exit 7")
	ends := e.execDetached("web", "while [ ! -e /end ]; do sleep 0.02; done; exit 8")
	ended := e.execDetached("web", "exit 9")
	eventually(t, "one has ended", func() bool { return e.exec(ended).ExitCode != nil })
	created := e.execCreate("web", false, true, "echo at last; exit 3")
	attach := func(id string, tty bool) io.WriteCloser {
		s, err := e.Hijack("POST", "/exec/"+id+"/start", map[string]any{"Tty": tty})
		assert.NilError(t, err)
		return s
	}
	screen := e.execCreate("web", true, true, "stty -echo; echo ready; while read a; do echo got $a; done")
	defer attach(screen, true).Close()
	prints := e.execCreate("web", false, true, "i=0; while [ ! -e /go ]; do i=$((i+1)); echo a line that fills pipes, number $i; done; exit 6")
	defer attach(prints, false).Close()
	var pids []int
	for _, id := range []string{runs, screen, prints} {
		eventually(t, "it runs", func() bool { return e.exec(id).Running })
		pids = append(pids, e.exec(id).Pid)
	}
	ending := e.exec(ends).Pid

	for _, upgrade := range []bool{false, true} {
		e.Kill()
		touch("end")
		eventually(t, "one has ended without a daemon", func() bool {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", ending))
			return err != nil || strings.Contains(string(b), ") Z ")
		})
		assert.NilError(t, e.Start())
		if upgrade {
			e.must("job", "supervisor_upgrade")
		}
		for i, id := range []string{runs, screen, prints} {
			assert.Equal(t, e.exec(id).String(), "running true, code none")
			assert.Equal(t, e.exec(id).Pid, pids[i])
		}
		eventually(t, "the end that nobody saw is told", func() bool { return e.exec(ends).ExitCode != nil })
		assert.Equal(t, e.exec(ends).String(), "running false, code 8")
		assert.Equal(t, e.exec(ended).String(), "running false, code 9")
		assert.Equal(t, e.exec(created).String(), "running false, code none")
		if !upgrade {
			now := fmt.Sprint(time.Now().Unix() + 1)
			assert.Equal(t, e.must("events", "--since", "1", "--until", now, "--filter", "event=exec_die", "--format", "{{.Actor.Attributes.execID}} {{.Actor.Attributes.exitCode}}"), ends+" 8")
		}
	}
	// Nobody reads what it prints, and it goes on.
	used := func() string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pids[2]))
		assert.NilError(t, err)
		f := strings.Fields(string(b))
		return f[13] + " " + f[14]
	}
	before := used()
	eventually(t, "the one that prints works", func() bool { return used() != before })

	// A terminal without its client takes another one, and again another.
	for range 2 {
		var s *harness.Stream
		eventually(t, "it can be connected to", func() (ok bool) {
			var err error
			s, err = e.Hijack("POST", "/exec/"+screen+"/start", map[string]any{"Tty": true})
			return err == nil
		})
		assert.NilError(t, e.JSON("POST", "/exec/"+screen+"/resize?h=30&w=100", nil, nil))
		_, err := io.WriteString(s, "word\n")
		assert.NilError(t, err)
		assert.NilError(t, s.Expect("got word"))
		s.Close()
	}
	s, err := e.Hijack("POST", "/exec/"+created+"/start", map[string]any{})
	assert.NilError(t, err)
	assert.NilError(t, s.Expect("at last"))
	s.Close()

	touch("go")
	for id, code := range map[string]string{runs: "7", prints: "6", created: "3"} {
		eventually(t, "it has ended", func() bool { return e.exec(id).ExitCode != nil })
		assert.Equal(t, e.exec(id).String(), "running false, code "+code)
	}
	code, text, _, err := e.Do("POST", "/exec/"+runs+"/start", "{}")
	assert.NilError(t, err)
	assert.Equal(t, code, 409, text)
	e.must("rm", "-f", "web")
	code, _, _, err = e.Do("GET", "/exec/"+runs+"/json", nil)
	assert.NilError(t, err)
	assert.Equal(t, code, 404)
}
