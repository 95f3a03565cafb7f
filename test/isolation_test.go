//go:build system

package test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// exec --privileged gives capabilities. What the container itself is fenced in by stays: filter, masks, devices, namespaces.
func TestAPrivilegedExecHasCapabilitiesAndNothingMore(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "web", "-u", "1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "-e", "A=container", "busybox", "sleep", "1000")
	look := `grep -E "^(CapEff|CapBnd|CapInh|CapAmb|NoNewPrivs|Seccomp):" /proc/self/status; wc -c </proc/interrupts; head -c 1 /dev/kmsg; ls /dev/kmsg
		mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg; touch /proc/sys/kernel/core_pattern; touch /sys/fs/cgroup/x; readlink /proc/self/ns/pid; id -u; echo $A $B; pwd`
	field := func(out, name string) string {
		_, rest, _ := strings.Cut(out, name+":")
		return strings.Fields(rest)[0]
	}
	plain := e.any("exec", "web", "sh", "-c", look).Stdout
	root := e.any("exec", "--privileged", "-u", "0", "-e", "B=exec", "-w", "/tmp", "web", "sh", "-c", look)
	user := e.any("exec", "--privileged", "web", "sh", "-c", look).Stdout
	all := e.must("run", "--rm", "--privileged", "busybox", "grep", "CapEff", "/proc/self/status")
	assert.Equal(t, field(root.Stdout, "CapEff"), field(all, "CapEff"))
	assert.Equal(t, field(user, "CapBnd"), field(all, "CapEff"))
	for _, out := range []string{plain, user} {
		assert.Equal(t, field(out, "CapEff"), "0000000000000000", "a user other than root has none: %s", out)
	}
	for _, out := range []string{plain, root.Stdout, user} {
		for name, want := range map[string]string{"CapInh": "0000000000000000", "CapAmb": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"} {
			assert.Equal(t, field(out, name), want, out)
		}
		assert.Assert(t, strings.Contains(out, "\n0\n"), "/proc/interrupts is empty: %s", out)
	}
	assert.Assert(t, strings.Contains(root.Stdout, "\n0\ncontainer exec\n/tmp\n"), root.Stdout)
	for _, refusal := range []string{"/dev/kmsg: No such file", "/tmp/kmsg: Operation not permitted", "core_pattern: Read-only file system", "/sys/fs/cgroup/x: "} {
		if strings.HasPrefix(refusal, "/sys/fs/cgroup") {
			continue // on version 1 a tmpfs of the container's own is above the hierarchies
		}
		assert.Assert(t, strings.Contains(root.Stderr, refusal), "%s: %s", refusal, root.Stderr)
	}
}

// An annotation reaches the runtime unless the runtime would take it for an order.
func TestAnnotationsAreKeptAndOrdersWithheld(t *testing.T) {
	e := startLoaded(t)
	res := e.any("create", "--name", "web", "--annotation", "org.example=yes", "--annotation", "org.systemd.property.TimeoutStopUSec=1", "busybox", "sleep", "1000")
	assert.Equal(t, res.Code, 0, "%s", res)
	assert.Assert(t, strings.Contains(res.Stderr, "org.systemd.property.TimeoutStopUSec is kept, but not handed to the runtime"), "%s", res)
	e.must("start", "web")
	id := e.must("inspect", "-f", "{{.Id}}", "web")
	text, err := os.ReadFile(fmt.Sprintf("%s/containers/%s/bundle/config.json", e.ExecRoot, id))
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(string(text), `"annotations":{"org.example":"yes"}`), "%s", text)
	all := e.must("inspect", "-f", "{{json .HostConfig.Annotations}}", "web")
	assert.Equal(t, all, `{"org.example":"yes","org.systemd.property.TimeoutStopUSec":"1"}`)
}

// Options of isolation mean the same with a runtime that is a program of its own.
func TestARuntimeBinaryJoinsNamespacesAndRunsTheInit(t *testing.T) {
	needRunc(t)
	e := startLoaded(t)
	e.must("run", "-d", "--name", "web", "--runtime", "oci", "--init", "--ipc", "shareable", "busybox", "sleep", "1000")
	assert.Equal(t, e.must("exec", "web", "cat", "/proc/1/comm"), "docker-init")
	e.must("exec", "web", "sh", "-c", "echo shared >/dev/shm/file")
	for _, runtime := range []string{"oci", "native"} {
		e.must("run", "-d", "--name", "guest", "--runtime", runtime, "--init", "--pid", "container:web", "--ipc", "container:web", "--network", "container:web",
			"--security-opt", "no-new-privileges", "busybox", "sleep", "1000")
		for _, kind := range []string{"pid", "ipc", "net"} {
			assert.Equal(t, namespace(t, e, "guest", kind), namespace(t, e, "web", kind))
		}
		assert.Equal(t, e.must("exec", "guest", "cat", "/dev/shm/file"), "shared")
		assert.Assert(t, strings.Contains(e.must("exec", "guest", "grep", "NoNewPrivs", "/proc/self/status"), "1"))
		e.must("rm", "-f", "guest")
		assert.Assert(t, !strings.Contains(e.must("exec", "web", "ps"), "guest"))
		assert.Equal(t, strings.Count(e.must("exec", "web", "ps", "-o", "args"), "sleep 1000"), 2, "the init and its program, and nothing of the guest")
	}
	res := e.any("run", "--rm", "--runtime", "oci", "--security-opt", "seccomp=testdata/nosuch.json", "busybox", "true")
	assert.Equal(t, res.Code, 125)
}
