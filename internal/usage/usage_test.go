package usage

import (
	"os"
	"path/filepath"
	"testing"

	"gotest.tools/v3/assert"
)

// folder makes files below a folder that looks like a cgroup.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		assert.NilError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		assert.NilError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	return root
}

func TestAGroupOfVersion1IsRead(t *testing.T) {
	root := folder(t, map[string]string{
		"memory/e/c/memory.usage_in_bytes":                    "4096\n",
		"memory/e/c/memory.max_usage_in_bytes":                "8192\n",
		"memory/e/c/memory.limit_in_bytes":                    "67108864\n",
		"memory/e/c/memory.failcnt":                           "3\n",
		"memory/e/c/memory.stat":                              "cache 5\ntotal_inactive_file 6\n",
		"cpuacct/e/c/cpuacct.usage":                           "77\n",
		"cpuacct/e/c/cpuacct.usage_percpu":                    "70 7 \n",
		"cpuacct/e/c/cpuacct.stat":                            "user 2\nsystem 1\n",
		"cpu/e/c/cpu.stat":                                    "nr_periods 9\nnr_throttled 4\nthrottled_time 1234\n",
		"pids/e/c/pids.current":                               "2\n",
		"pids/e/c/pids.max":                                   "max\n",
		"blkio/e/c/blkio.throttle.io_service_bytes_recursive": "7:0 Read 4096\n7:0 Write 0\nTotal 4096\n",
		"blkio/e/c/blkio.throttle.io_serviced_recursive":      "7:0 Read 1\n",
	})
	u, err := Read(filepath.Join(root, "memory/e/c"))
	assert.NilError(t, err)
	assert.DeepEqual(t, u.CPU, CPU{Total: 77, User: 20000000, Kernel: 10000000, PerCPU: []uint64{70, 7}, Periods: 9, ThrottledPeriods: 4, ThrottledTime: 1234})
	assert.DeepEqual(t, u.Memory, Memory{Usage: 4096, MaxUsage: 8192, Limit: 67108864, Failures: 3, Stats: map[string]uint64{"cache": 5, "total_inactive_file": 6}})
	assert.DeepEqual(t, u.Pids, Pids{Current: 2})
	assert.DeepEqual(t, u.BlockIO, BlockIO{
		Bytes: []BlockIOEntry{{7, 0, "Read", 4096}, {7, 0, "Write", 0}}, Operations: []BlockIOEntry{{7, 0, "Read", 1}},
	})
}

func TestAGroupOfVersion2IsRead(t *testing.T) {
	root := folder(t, map[string]string{
		"cgroup.controllers": "cpu memory\n",
		"memory.current":     "4096\n",
		"memory.max":         "max\n",
		"memory.events":      "low 0\nmax 3\noom_kill 1\n",
		"memory.stat":        "inactive_file 6\n",
		"cpu.stat":           "usage_usec 77\nuser_usec 70\nsystem_usec 7\nnr_periods 9\nnr_throttled 4\nthrottled_usec 5\n",
		"pids.current":       "2\n",
		"pids.max":           "100\n",
		"io.stat":            "7:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=9 dios=9\n",
	})
	u, err := Read(root)
	assert.NilError(t, err)
	assert.DeepEqual(t, u.CPU, CPU{Total: 77000, User: 70000, Kernel: 7000, Periods: 9, ThrottledPeriods: 4, ThrottledTime: 5000})
	assert.DeepEqual(t, u.Memory, Memory{Usage: 4096, Limit: Unlimited, Failures: 3, Stats: map[string]uint64{"inactive_file": 6}})
	assert.DeepEqual(t, u.Pids, Pids{Current: 2, Limit: 100})
	assert.DeepEqual(t, u.BlockIO, BlockIO{
		Bytes:      []BlockIOEntry{{7, 0, "read", 4096}, {7, 0, "write", 0}},
		Operations: []BlockIOEntry{{7, 0, "read", 1}, {7, 0, "write", 0}},
	})
	kills, err := OOMKills(root)
	assert.NilError(t, err)
	assert.Equal(t, kills, uint64(1))
}

func TestAGroupThatIsGoneIsAnError(t *testing.T) {
	_, err := Read(filepath.Join(t.TempDir(), "gone"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestTheHostsTimeIsTheSumOfItsKinds(t *testing.T) {
	n, online := systemCPU("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 5\n")
	assert.Equal(t, n, uint64(280000000))
	assert.Equal(t, online, 2)
}
