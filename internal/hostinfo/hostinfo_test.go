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

func TestCgroupV2ControllersSayWhatThereIs(t *testing.T) {
	root := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(root, "cpuset.cpus.effective"), []byte("0-3\n"), 0o600))
	c := cgroup2(root, []string{"cpuset", "cpu", "io", "pids"})
	assert.Equal(t, c, Cgroup{
		Version: 2, CPUShares: true, CPUQuota: true, CPUSet: true, Pids: true, BlockIO: true, BlockIOWeight: true, BlockIOWeightDevice: true,
		BlockIOReadBps: true, BlockIOWriteBps: true, BlockIOReadIOps: true, BlockIOWriteIOps: true, CPUs: "0-3",
	})
	assert.DeepEqual(t, c.Missing(), []string{"No memory limit support"})
}

func TestBlockIOIsTakenApart(t *testing.T) {
	root := t.TempDir()
	for _, f := range []string{"blkio.throttle.read_bps_device", "blkio.throttle.write_iops_device", "blkio.weight"} {
		assert.NilError(t, os.MkdirAll(filepath.Join(root, "blkio"), 0o755))
		assert.NilError(t, os.WriteFile(filepath.Join(root, "blkio", f), nil, 0o600))
	}
	assert.Equal(t, readCgroup(root), Cgroup{Version: 1, BlockIO: true, BlockIOWeight: true, BlockIOReadBps: true, BlockIOWriteIOps: true})
}

func TestOnlyADiskWithBFQHasWeights(t *testing.T) {
	root := t.TempDir()
	disk := filepath.Join(root, "vda", "queue")
	assert.NilError(t, os.MkdirAll(disk, 0o755))
	assert.NilError(t, os.WriteFile(filepath.Join(disk, "scheduler"), []byte("none [mq-deadline] bfq\n"), 0o600))
	assert.Check(t, !bfqInUse(root))
	assert.NilError(t, os.WriteFile(filepath.Join(disk, "scheduler"), []byte("none mq-deadline [bfq]\n"), 0o600))
	assert.Check(t, bfqInUse(root))
}
