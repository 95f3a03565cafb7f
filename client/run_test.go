package client

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gotest.tools/v3/assert"
)

// TestRunMissesNothing: attach and wait are taken before start, so that a
// container that ends at once loses neither output nor exit code.
func TestRunMissesNothing(t *testing.T) {
	s := newStandIn(t)
	s.container("c1", 7)
	code, out, errs := s.run("run", "--rm", "busybox", "x")
	assert.Equal(t, code, 7)
	assert.Equal(t, out, "out:")
	assert.Equal(t, errs, "WARNING: mind the gap\nerr")
	log := s.log()
	assert.Equal(t, len(log), 4)
	slices.Sort(log[1:3]) // these two at once
	assert.DeepEqual(t, log, []string{
		"POST /containers/create",
		"POST /containers/c1/attach?stderr=1&stdout=1&stream=1",
		"POST /containers/c1/wait?condition=removed",
		"POST /containers/c1/start",
	})
}

func TestRunSendsItsInputAndTheEndOfIt(t *testing.T) {
	s := newStandIn(t)
	s.container("c1", 0)
	code, out, _ := s.runIn("hello", New(), "run", "-i", "busybox")
	assert.Equal(t, code, 0)
	assert.Equal(t, out, "out:hello")
	assert.Assert(t, slices.Contains(s.log()[1:3], "POST /containers/c1/wait?condition=next-exit"), "%v", s.log())
}

func TestRunDetachedPrintsTheID(t *testing.T) {
	s := newStandIn(t)
	s.container("c1", 0)
	code, out, _ := s.run("run", "-d", "--name", "n", "busybox")
	assert.Equal(t, code, 0)
	assert.Equal(t, out, "c1\n")
	assert.DeepEqual(t, s.log(), []string{"POST /containers/create?name=n", "POST /containers/c1/start"})
	var sent struct{ AttachStdout, AttachStderr bool }
	assert.NilError(t, json.Unmarshal(s.bodies["POST /containers/create"], &sent))
	assert.Assert(t, !sent.AttachStdout && !sent.AttachStderr)
}

func TestRunPullsAMissingImageOnce(t *testing.T) {
	s := newStandIn(t)
	s.container("c1", 0)
	create := s.routes["POST /containers/create"]
	tries := 0
	s.on("POST /containers/create", func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries == 1 {
			fails(404, "No such image: x:latest")(w, r)
			return
		}
		create(w, r)
	})
	s.on("POST /images/create", answers(200, map[string]string{"status": "Pulled"}))
	code, out, errs := s.run("run", "-d", "x")
	assert.Equal(t, code, 0)
	assert.Equal(t, out, "c1\n")
	assert.Equal(t, errs, "Unable to find image 'x:latest' locally\nPulled\nWARNING: mind the gap\n")
	assert.Equal(t, s.log()[1], "POST /images/create?fromImage=docker.io%2Flibrary%2Fx&tag=latest")
}

func TestRunNeverPulls(t *testing.T) {
	s := newStandIn(t)
	s.on("POST /containers/create", fails(404, "No such image: x:latest"))
	code, _, errs := s.run("run", "--pull", "never", "x")
	assert.Equal(t, code, 125)
	assert.Equal(t, errs, "engine: Error response from daemon: No such image: x:latest\n\nRun 'engine run --help' for more information\n")
	assert.Equal(t, len(s.log()), 1)
}

func TestRunExitCodesOfAFailedStart(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{
		{`exec: "x": executable file not found in $PATH`, 127},
		{"stat /x: no such file or directory", 127},
		{"exec: \"/etc\": permission denied", 126},
		{"exec: \"/etc\": is a directory", 126},
		{"no space left", 125},
	} {
		s := newStandIn(t)
		s.container("c1", 0)
		s.on("POST /containers/c1/start", fails(400, c.text))
		code, _, errs := s.run("run", "x")
		close(s.started) // lets the stand-in's attach and wait end
		assert.Equal(t, code, c.want, c.text)
		assert.Equal(t, errs, "WARNING: mind the gap\nengine: Error response from daemon: "+c.text+"\n\nRun 'engine run --help' for more information\n")
	}
}

func TestRunWantsATerminalForATerminal(t *testing.T) {
	s := newStandIn(t)
	code, _, errs := s.run("run", "-it", "x")
	assert.Equal(t, code, 1)
	assert.Equal(t, errs, "the input device is not a TTY\n")
	assert.Equal(t, len(s.log()), 0)
}

func TestRunConflicts(t *testing.T) {
	s := newStandIn(t)
	for _, c := range []struct {
		line []string
		code int
		want string
	}{
		{[]string{"run", "-d", "-a", "stdout", "x"}, 1, "conflicting options: cannot specify both --attach and --detach\n"},
		{[]string{"run", "--rm", "--restart", "always", "x"}, 125, "engine: conflicting options: cannot specify both --restart and --rm\n\nRun 'engine run --help' for more information\n"},
		{[]string{"create", "--pull", "x", "x"}, 125, "engine: invalid pull option: 'x': must be one of \"always\", \"missing\" or \"never\"\n\nRun 'engine create --help' for more information\n"},
		{[]string{"run", "Bad"}, 125, "engine: invalid reference format: repository name (library/Bad) must be lowercase\n\nRun 'engine run --help' for more information\n"},
	} {
		code, _, errs := s.run(c.line...)
		assert.Equal(t, code, c.code, "%v", c.line)
		assert.Equal(t, errs, c.want)
	}
	assert.Equal(t, len(s.log()), 0)
}

func TestCIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cid")
	s := newStandIn(t)
	s.container("c1", 0)
	code, _, _ := s.run("create", "--cidfile", path, "x")
	assert.Equal(t, code, 0)
	got, err := os.ReadFile(path)
	assert.NilError(t, err)
	assert.Equal(t, string(got), "c1")

	code, _, errs := s.run("create", "--cidfile", path, "x")
	assert.Equal(t, code, 1)
	assert.Equal(t, errs, "container ID file found, make sure the other container isn't running or delete "+path+"\n")

	assert.NilError(t, os.Remove(path))
	s.on("POST /containers/create", fails(409, "name taken"))
	code, _, _ = s.run("create", "--cidfile", path, "x")
	assert.Equal(t, code, 1)
	_, err = os.Stat(path)
	assert.ErrorIs(t, err, os.ErrNotExist)
}
