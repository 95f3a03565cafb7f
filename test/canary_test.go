//go:build system

package test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"
)

// host is what a hostile container must not change: a folder to aim at that has
// a file of each kind, /etc, the names in /, and what the kernel is told to run.
type host struct {
	aim    string // the folder to aim at
	before string
}

func newHost(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine-test-canary-")
	assert.NilError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	assert.NilError(t, os.WriteFile(dir+"/secret", []byte("canary"), 0o600))
	assert.NilError(t, os.WriteFile(dir+"/passwd", []byte("root:x:0:0::/canary:/bin/sh\n"), 0o644))
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
		assert.NilError(t, os.WriteFile(dir+"/"+name, []byte("canary"), 0o644))
	}
	assert.NilError(t, os.WriteFile(dir+"/setuid", []byte("#!/bin/false\n"), 0o755))
	assert.NilError(t, os.Chmod(dir+"/setuid", 0o755|os.ModeSetuid))
	assert.NilError(t, syscall.Mkfifo(dir+"/fifo", 0o644))
	assert.NilError(t, os.Mkdir(dir+"/empty", 0o755))
	assert.NilError(t, os.Chmod(dir, 0o777)) // so that permissions protect nothing
	h := &host{aim: dir}
	h.before = h.look()
	return h
}

// look describes the host: of each file its kind, mode, owner, time, and digest.
func (h *host) look() string {
	var all []string
	say := func(path string, st os.FileInfo) {
		sys := st.Sys().(*syscall.Stat_t)
		line := fmt.Sprint(path, " ", st.Mode(), " ", sys.Uid, ":", sys.Gid, " ", sys.Nlink)
		if st.Mode().IsRegular() {
			body, _ := os.ReadFile(path)
			line += fmt.Sprintf(" %s %x", st.ModTime(), sha256.Sum256(body))
		} else if st.Mode()&os.ModeSymlink != 0 {
			to, _ := os.Readlink(path)
			line += " " + to
		}
		all = append(all, line)
	}
	for _, top := range []string{h.aim, "/etc"} {
		filepath.Walk(top, func(path string, st os.FileInfo, err error) error {
			if err == nil {
				say(path, st)
			}
			return nil
		})
	}
	names, _ := os.ReadDir("/")
	for _, n := range names {
		all = append(all, "/"+n.Name())
	}
	for _, file := range []string{"core_pattern", "hostname", "modprobe", "domainname"} {
		value, _ := os.ReadFile("/proc/sys/kernel/" + file)
		all = append(all, file+" "+string(value))
	}
	for _, path := range []string{"/tmp/PWNED", "/run/PWNED", "/dev/PWNED", "/dev/shm/PWNED"} {
		if _, err := os.Lstat(path); err == nil {
			all = append(all, path+" exists")
		}
	}
	var null syscall.Stat_t
	if err := syscall.Stat("/dev/null", &null); err == nil {
		all = append(all, fmt.Sprint("/dev/null ", null.Rdev, null.Mode))
	}
	sort.Strings(all)
	return strings.Join(all, "\n")
}

// unchanged fails the test if the host is not what it was.
func (h *host) unchanged(t *testing.T) {
	t.Helper()
	after := h.look()
	if after == h.before {
		return
	}
	was := map[string]bool{}
	for _, line := range strings.Split(h.before, "\n") {
		was[line] = true
	}
	for _, line := range strings.Split(after, "\n") {
		if !was[line] {
			t.Errorf("the host has: %s", line)
		}
		delete(was, line)
	}
	for line := range was {
		t.Errorf("the host had: %s", line)
	}
}
