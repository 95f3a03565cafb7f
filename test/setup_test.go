//go:build system

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// made once for all tests
var busybox, rootfs string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if os.Getuid() != 0 {
			fmt.Println("test: the system tests need root")
			return 1
		}
		if _, err := harness.EngineBinary(); err != nil {
			fmt.Println("test:", err)
			return 1
		}
		dir, err := os.MkdirTemp("", "engine-test-fixtures-")
		if err != nil {
			fmt.Println("test:", err)
			return 1
		}
		defer os.RemoveAll(dir)
		harness.DestroyOnInterrupt(func() { os.RemoveAll(dir) })
		busybox, rootfs = filepath.Join(dir, "busybox.tar"), filepath.Join(dir, "rootfs.tar")
		if err := harness.BusyboxArchive(busybox, "busybox:latest"); err != nil {
			fmt.Println("test:", err)
			return 1
		}
		if err := harness.BusyboxRootfs(rootfs); err != nil {
			fmt.Println("test:", err)
			return 1
		}
		for _, name := range []string{"docker20", "docker28"} {
			if !has(name) {
				fmt.Printf("test: SKIPPED everything with client %s, it is not on this machine\n", name)
			}
		}
		return m.Run()
	}())
}

func has(client string) bool {
	for _, c := range harness.DockerCLIs() {
		if c.Name == client {
			return true
		}
	}
	return false
}

// engine is a daemon under test with its own client.
type engine struct {
	*harness.Daemon
	t   *testing.T
	cli harness.CLI
}

// start gives a private daemon without images.
func start(t *testing.T, flags ...string) *engine {
	t.Helper()
	return startWith(t, harness.Options{Flags: flags})
}

// startWith is start for those who want more than flags.
func startWith(t *testing.T, o harness.Options) *engine {
	t.Helper()
	d, err := harness.StartEngine(o)
	assert.NilError(t, err)
	cli, err := harness.EngineCLI()
	assert.NilError(t, err)
	e := &engine{d, t, cli}
	t.Cleanup(func() {
		log := d.Log()
		if err := d.Destroy(); err != nil {
			t.Errorf("destroy: %v", err)
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", lastLines(log, 60))
		}
	})
	return e
}

// startLoaded gives a private daemon that has busybox.
func startLoaded(t *testing.T, flags ...string) *engine {
	t.Helper()
	e := start(t, flags...)
	e.load()
	return e
}

func (e *engine) load() {
	e.t.Helper()
	fd, err := os.Open(busybox)
	assert.NilError(e.t, err)
	defer fd.Close()
	code, text, _, err := e.Do("POST", "/images/load?quiet=1", fd)
	assert.NilError(e.t, err)
	assert.Equal(e.t, code, 200, text)
}

// must runs the engine's own client, which has to succeed, and gives its
// trimmed stdout.
func (e *engine) must(args ...string) string {
	e.t.Helper()
	res := e.any(args...)
	assert.Equal(e.t, res.Code, 0, "engine %s: %s", strings.Join(args, " "), res)
	return res.Out()
}

// any runs the engine's own client; it may fail but not hang.
func (e *engine) any(args ...string) harness.Result {
	e.t.Helper()
	res, err := e.Run(e.cli, args...)
	assert.NilError(e.t, err)
	return res
}

// create makes and start starts a container over the API, faster than a client.
func (e *engine) create(name string, cmd ...string) {
	e.t.Helper()
	assert.NilError(e.t, e.JSON("POST", "/containers/create?name="+name, map[string]any{"Image": "busybox", "Cmd": cmd}, nil))
}

// eventually waits until cond holds; patience only bounds a failure.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
