//go:build system

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// The supervisor holds a few network namespaces ready. A daemon that dies does
// not change that, and a supervisor that dies takes them with it: no namespace is
// left that nobody is in.
func TestPreparedNetworksEndWithTheSupervisor(t *testing.T) {
	e := startLoaded(t)
	seen := map[string]bool{}
	for i := range 6 {
		name := fmt.Sprintf("c%d", i)
		e.must("run", "-d", "--name", name, "--network", "none", "busybox", "sleep", "1000")
		assert.Equal(t, e.must("exec", name, "sh", "-c", "ip link show lo | grep -c UP"), "1")
		link := e.must("exec", name, "readlink", "/proc/self/ns/net")
		assert.Assert(t, !seen[link], "two containers share a network")
		seen[link] = true
		if i == 2 {
			e.Kill()
			assert.NilError(t, e.Start())
		}
	}
	supervisor := e.supervisorPid()
	var pool []string
	eventually(t, "the pool is filled", func() bool {
		pool = networksHeldBy(supervisor)
		return len(pool) == 2
	})
	for _, link := range pool {
		assert.Assert(t, !seen[link], "a prepared network is a container's")
	}
	e.killSupervisor()
	eventually(t, "nobody holds a network of the old pool", func() bool { return !anybodyIn(pool) })
	for i := range 6 {
		assert.Equal(t, e.must("exec", fmt.Sprintf("c%d", i), "sh", "-c", "ip link show lo | grep -c UP"), "1")
	}
	e.must("run", "--rm", "--network", "none", "busybox", "true")
	eventually(t, "the next supervisor has a pool too", func() bool { return len(networksHeldBy(e.supervisorPid())) == 2 })
}

// networksHeldBy are the network namespaces that a process has descriptors of.
func networksHeldBy(pid int) []string {
	var links []string
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, file := range files {
		if link, err := os.Readlink(file); err == nil && strings.HasPrefix(link, "net:[") {
			links = append(links, link)
		}
	}
	return links
}

// anybodyIn tells whether any process is in one of the namespaces, or holds it.
func anybodyIn(links []string) bool {
	for _, pattern := range []string{"/proc/[0-9]*/ns/net", "/proc/[0-9]*/fd/*"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			if link, err := os.Readlink(file); err == nil && slices.Contains(links, link) {
				return true
			}
		}
	}
	return false
}
