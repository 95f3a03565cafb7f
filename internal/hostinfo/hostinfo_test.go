package hostinfo

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func TestOSReleaseIsReadWithAndWithoutQuotes(t *testing.T) {
	got := osRelease(bufio.NewScanner(strings.NewReader("# a comment\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=12\nID='debian'\nnonsense\n")))
	assert.Equal(t, got["PRETTY_NAME"], "Debian GNU/Linux 12")
	assert.Equal(t, got["VERSION_ID"], "12")
	assert.Equal(t, got["ID"], "debian")
}

func TestAContainerIsKnownByTheGroupsOfItsFirstProcess(t *testing.T) {
	assert.Check(t, !containerized("4:memory:/\n0::/\n"))
	assert.Check(t, !containerized("1:name=systemd:/init.scope\n0::/init.scope\n"))
	assert.Check(t, containerized("4:memory:/docker/0123\n0::/\n"))
}

func TestTheHostIsKnown(t *testing.T) {
	h := Read()
	assert.Check(t, h.Name != "" && h.KernelVersion != "" && h.Machine != "")
	assert.Check(t, h.CPUs > 0 && h.MemoryBytes > 1<<20)
	assert.Check(t, OpenFiles() > 2)
}

func TestCgroupV1ControllersAreFoundByTheirFiles(t *testing.T) {
	root := t.TempDir()
	for _, f := range []string{"memory/memory.limit_in_bytes", "cpu/cpu.shares", "pids/tasks"} {
		assert.NilError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, f)), 0o755))
		assert.NilError(t, os.WriteFile(filepath.Join(root, f), nil, 0o600))
	}
	assert.Equal(t, readCgroup(root), Cgroup{Version: 1, Memory: true, CPUShares: true, Pids: true})
}
