//go:build system

package test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// goroutines of the daemon, as info says.
func (e *engine) goroutines() int {
	e.t.Helper()
	var info struct{ NGoroutines int }
	assert.NilError(e.t, e.JSON("GET", "/info", nil, &info))
	return info.NGoroutines
}

// back waits until goroutines, descriptors and processes are what they were.
func (e *engine) back(what string, goroutines int, before use) {
	e.t.Helper()
	var have int
	for range 400 {
		if have = e.goroutines(); have <= goroutines+3 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	after := e.settled(before)
	e.t.Logf("%s: goroutines %d, then %d; %+v, then %+v", what, goroutines, have, before, after)
	assert.Assert(e.t, have <= goroutines+3, "%s: goroutines %d, then %d", what, goroutines, have)
	assert.Assert(e.t, after.fds <= before.fds+lax, "%s: descriptors %d, then %d", what, before.fds, after.fds)
	assert.Assert(e.t, after.processes <= before.processes, "%s: processes %d, then %d", what, before.processes, after.processes)
}

// overTCP has the daemon listen on a port of the loopback interface too, where
// a connection can be reset.
func overTCP(t *testing.T) (flags []string, address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	address = l.Addr().String()
	l.Close()
	return []string{"-H", "tcp://" + address}, address
}

// TestTortureVanishedClientsLeaveNothing: clients of every kind of stream that
// are reset in the middle, and nobody reads what is still on its way.
func TestTortureVanishedClientsLeaveNothing(t *testing.T) {
	flags, address := overTCP(t)
	e := startTicking(t, flags...)
	e.tick("web", time.Millisecond, 0, withRotation("1m", 2))
	web := e.state("web").Pid
	e.TCP = address
	exec := func(tty bool) (*harness.Stream, error) {
		id := e.execCreate("sh", tty, true, "while read a; do echo $a; done")
		return e.Hijack("POST", "/exec/"+id+"/start", map[string]any{"Tty": tty})
	}
	kinds := map[string]func() (*harness.Stream, error){
		"attach": func() (*harness.Stream, error) {
			return e.Hijack("POST", "/containers/web/attach?stream=1&stdin=1&stdout=1&stderr=1&logs=1", nil)
		},
		"logs":      func() (*harness.Stream, error) { return e.Follow("GET", "/containers/web/logs?follow=1&stdout=1") },
		"events":    func() (*harness.Stream, error) { return e.Follow("GET", "/events") },
		"wait":      func() (*harness.Stream, error) { return e.Follow("POST", "/containers/web/wait") },
		"exec":      func() (*harness.Stream, error) { return exec(false) },
		"exec, tty": func() (*harness.Stream, error) { return exec(true) },
	}
	round := func(n int) {
		e.run("busybox", "sh", []string{"sleep", "100000"})
		// An exec on a terminal is not told that its client has gone.
		defer e.must("rm", "-f", "sh")
		for what, open := range kinds {
			for range n {
				s, err := open()
				assert.NilError(t, err, what)
				if strings.HasPrefix(what, "exec") {
					_, err = io.WriteString(s, "word\n")
					assert.NilError(t, err)
					assert.NilError(t, s.Expect("word"), what)
				}
				s.Reset()
			}
		}
	}
	round(3)
	goroutines, before := e.goroutines(), e.settled(idle)
	round(size(20, 100))
	e.back("after the resets", goroutines, before)
	assert.Equal(t, e.state("web").Pid, web)
}

// TestTortureDroppedTerminals attaches, resizes and leaves.
func TestTortureDroppedTerminals(t *testing.T) {
	e := startLoaded(t)
	e.run("busybox", "screen", []string{"sh"}, func(config, _ map[string]any) { config["OpenStdin"], config["Tty"] = true, true })
	round := func(n int) {
		for i := range n {
			s, err := e.Hijack("POST", "/containers/screen/attach?stream=1&stdin=1&stdout=1", nil)
			assert.NilError(t, err)
			assert.NilError(t, e.JSON("POST", fmt.Sprintf("/containers/screen/resize?h=%d&w=%d", 20+i%30, 60+i%50), nil, nil))
			s.Reset()
		}
	}
	round(10)
	goroutines, before := e.goroutines(), e.settled(idle)
	round(size(150, 1000))
	e.back("after the terminals", goroutines, before)
	s, err := e.Hijack("POST", "/containers/screen/attach?stream=1&stdin=1&stdout=1", nil)
	assert.NilError(t, err)
	defer s.Close()
	_, err = io.WriteString(s, "echo still; echo here\n")
	assert.NilError(t, err)
	assert.NilError(t, s.Expect("\nhere"))
}

// TestTortureAnExecThatPrintsToNobody: its client is gone, and it prints gigabytes.
func TestTortureAnExecThatPrintsToNobody(t *testing.T) {
	e := startLoaded(t)
	e.run("busybox", "web", []string{"sleep", "100000"})
	goroutines, before := e.goroutines(), e.settled(idle)
	megabytes := size(300, 2048)
	id := e.execCreate("web", false, true, fmt.Sprintf("dd if=/dev/zero bs=1M count=%d 2>/dev/null; exit 7", megabytes))
	s, err := e.Hijack("POST", "/exec/"+id+"/start", map[string]any{})
	assert.NilError(t, err)
	_, err = io.ReadFull(s, make([]byte, 100_000))
	assert.NilError(t, err)
	s.Reset()
	for deadline := time.Now().Add(5 * time.Minute); e.exec(id).ExitCode == nil; time.Sleep(50 * time.Millisecond) {
		assert.Assert(t, time.Now().Before(deadline), "it has not ended")
	}
	assert.Equal(t, *e.exec(id).ExitCode, 7)
	e.back("after the exec", goroutines, before)
	after := e.use()
	assert.Assert(t, after.rssKB <= before.rssKB+20<<10, "memory in kB: %d, then %d", before.rssKB, after.rssKB)
}

// TestTortureHalfOpenRequests: 500 clients that never finish their headers, while
// others are answered.
func TestTortureHalfOpenRequests(t *testing.T) {
	e := start(t)
	goroutines, before := e.goroutines(), e.settled(idle)
	const many = 500
	var open []net.Conn
	for i := range many {
		c, err := net.Dial("unix", e.Socket)
		assert.NilError(t, err, "%d", i)
		defer c.Close()
		_, err = io.WriteString(c, "POST /containers/create HTTP/1.1\r\nHost: d\r\nX-Slow: ")
		assert.NilError(t, err)
		open = append(open, c)
	}
	var slowest time.Duration
	for i := range 200 {
		_, err := io.WriteString(open[i%many], "x")
		assert.NilError(t, err)
		took, err := e.ping()
		assert.NilError(t, err)
		slowest = max(slowest, took)
	}
	t.Logf("slowest ping beside %d half-open requests: %v", many, slowest.Round(time.Microsecond))
	assert.Assert(t, slowest < 5*time.Second)
	if full() { // the daemon has enough of them after 30 s
		for _, c := range open {
			c.SetReadDeadline(time.Now().Add(60 * time.Second))
			_, err := io.Copy(io.Discard, c)
			assert.NilError(t, err, "it is still open")
		}
	}
	for _, c := range open {
		c.Close()
	}
	e.back("after the half-open requests", goroutines, before)
}

// TestAContainerWithoutALogWaitsForItsSlowClient: as docker's does. Unlike
// there, a client that does not read at all is not waited for without end.
func TestAContainerWithoutALogWaitsForItsSlowClient(t *testing.T) {
	e := startLoaded(t)
	slow := harness.Command{Path: "/bin/sh", Env: []string{"ENGINE_HOST=" + e.Host()}, Args: []string{"-c",
		e.cli.Path + " run --rm --log-driver none busybox dd if=/dev/zero bs=1M count=24 2>/dev/null | (sleep 2; wc -c)"}}
	res, err := slow.Run(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, res.Out(), fmt.Sprint(24<<20), "%s", res)

	e.run("busybox", "web", []string{"sh", "-c", "dd if=/dev/zero bs=64k count=160 2>/dev/null; touch /done; echo the end; exec sleep 1000"},
		func(config, host map[string]any) {
			host["LogConfig"] = map[string]any{"Type": "none"}
			config["Entrypoint"] = []string{"sh", "-c", "while [ ! -e /go ]; do sleep 0.02; done; exec \"$@\"", "sh"}
		})
	root := fmt.Sprintf("/proc/%d/root", e.state("web").Pid)
	s, err := e.Hijack("POST", "/containers/web/attach?stream=1&stdout=1&stderr=1", nil)
	assert.NilError(t, err)
	defer s.Close()
	assert.NilError(t, os.WriteFile(root+"/go", nil, 0o600))
	eventually(t, "the container goes on without the client that does not read", func() bool {
		_, err := os.Stat(root + "/done")
		return err == nil
	})
	assert.NilError(t, s.Expect("bytes of output are missing here"))
	assert.NilError(t, s.Expect("the end"))
}
