//go:build v2

package v2

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"
)

// Debian's kernel maps the ids of layers too, in its own way: all of them in one
// string, from a mount that has to be attached somewhere.
func TestUserNamespacesShareLayersOnAnOldKernel(t *testing.T) {
	const socket = "unix:///run/remap.sock"
	log, err := os.Create("/tmp/remap.log")
	assert.NilError(t, err)
	daemon := exec.Command("engine", "-d", "-H", socket, "--data-root", "/var/lib/remap", "--exec-root", "/run/remap", "-p", "/run/remap.pid",
		"--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", "/remap", "--userns-remap", "default")
	daemon.Stdout, daemon.Stderr = log, log
	assert.NilError(t, daemon.Start())
	t.Cleanup(func() {
		_ = daemon.Process.Signal(syscall.SIGTERM)
		assert.NilError(t, daemon.Wait())
		if t.Failed() {
			text, _ := os.ReadFile("/tmp/remap.log")
			t.Logf("%s", text)
		}
	})
	remapped := func(args ...string) string {
		t.Helper()
		return must(t, append([]string{"engine", "-H", socket}, args...)...)
	}
	eventually(t, "the daemon answers", func() bool {
		_, _, code := try("engine", "-H", socket, "version")
		return code == 0
	})
	remapped("load", "-q", "-i", "/tmp/busybox.tar")
	remapped("run", "-d", "--name", "one", "busybox", "sleep", "1000")
	assert.Equal(t, strings.Join(strings.Fields(remapped("exec", "one", "cat", "/proc/self/uid_map")), " "), "0 100000 65536")
	remapped("exec", "one", "sh", "-c", "echo x >/f && chown 5:6 /f && echo y >/dev/stdout")
	for _, flags := range [][]string{nil, {"--userns", "host"}} {
		assert.Equal(t, remapped(append(append([]string{"run", "--rm"}, flags...), "busybox", "stat", "-c", "%u:%g", "/bin/busybox")...), "0:0")
	}
	assert.Equal(t, remapped("diff", "one"), "A /f")
	remapped("commit", "one", "made")
	assert.Equal(t, remapped("run", "--rm", "--userns", "host", "made", "stat", "-c", "%u:%g", "/f"), "5:6")
	remapped("rm", "-f", "one")
}
