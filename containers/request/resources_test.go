package request

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/hostinfo"
)

// able is a host that can limit everything.
func able() *Rules {
	return &Rules{Host: hostinfo.Host{CPUs: 4, Cgroup: hostinfo.Cgroup{
		Version: 1, Memory: true, Swap: true, Reservation: true, Swappiness: true, OOMKillDisable: true, CPUShares: true, CPUQuota: true,
		CPURealtime: true, CPUSet: true, Pids: true, BlockIO: true, BlockIOWeight: true, BlockIOWeightDevice: true,
		BlockIOReadBps: true, BlockIOWriteBps: true, BlockIOReadIOps: true, BlockIOWriteIOps: true, CPUs: "0-2,4", Mems: "0",
	}}}
}

func resources(t *testing.T, text string) *container.Resources {
	t.Helper()
	r := &container.Resources{}
	assert.NilError(t, json.Unmarshal([]byte(text), r))
	return r
}

func TestLimitsThatAreFineAreKept(t *testing.T) {
	for _, text := range []string{
		`{"Memory":6291456,"MemorySwap":-5}`, `{"Memory":9223372036854775807}`, `{"MemorySwap":-2}`, `{"MemoryReservation":-1}`,
		`{"CpuQuota":-999}`, `{"CpusetCpus":"00"}`, `{"CpusetCpus":"0-2,4","CpusetMems":"0"}`, `{"PidsLimit":-7}`, `{"PidsLimit":4194304}`,
		`{"BlkioWeight":1000,"BlkioDeviceReadBps":[{"Path":"/dev/vda","Rate":1}]}`, `{"CpuRealtimePeriod":1000000,"CpuRealtimeRuntime":950000}`, `{"CpuCount":3}`,
	} {
		r := resources(t, text)
		warnings, err := able().checkResources(r, false)
		assert.NilError(t, err, text)
		assert.Equal(t, len(warnings), 0, "%s: %q", text, warnings)
		assert.DeepEqual(t, r, resources(t, text))
	}
}

func TestCPUsAreThoseOfTheHost(t *testing.T) {
	for list, want := range map[string]string{
		"0-3":          "Requested CPUs are not available - requested 0-3, available: 0-2,4",
		"8193":         "Invalid value 8193 for cpuset cpus: value of out range, maximum is 8192",
		"1-2147483647": "Invalid value 1-2147483647 for cpuset cpus: value of out range, maximum is 8192",
		"2-1":          "Invalid value 2-1 for cpuset cpus: invalid format: 2-1",
		" 0":           "Invalid value  0 for cpuset cpus: invalid format:  0",
		"-1":           "Invalid value -1 for cpuset cpus: invalid format: -1",
	} {
		_, err := able().checkResources(&container.Resources{CpusetCpus: list}, false)
		assert.Error(t, err, want)
		assert.Check(t, errdefs.IsInvalidArgument(err))
	}
}

func TestWhatTheHostLacksIsTakenOutAndTold(t *testing.T) {
	nothing := &Rules{Host: hostinfo.Host{CPUs: 4, Cgroup: hostinfo.Cgroup{Version: 1}}}
	for text, want := range map[string]string{
		`{"Memory":8000000}`:                        "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
		`{"MemoryReservation":8000000}`:             "Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.",
		`{"MemorySwappiness":5}`:                    "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
		`{"OomKillDisable":true}`:                   "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
		`{"PidsLimit":5}`:                           "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
		`{"CpuShares":5}`:                           "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.",
		`{"CpuPeriod":5000}`:                        "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
		`{"CpuPercent":5}`:                          "linux does not support CPU percent. Percent discarded.",
		`{"CpusetCpus":"9"}`:                        "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
		`{"BlkioWeight":5}`:                         "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
		`{"BlkioWeightDevice":[{"Path":"/dev/x"}]}`: "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
		`{"BlkioDeviceReadBps":[{"Path":"/d"}]}`:    "Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.",
		`{"BlkioDeviceWriteBps":[{"Path":"/d"}]}`:   "Your kernel does not support BPS Block I/O write limit or the cgroup is not mounted. Block I/O BPS write limit discarded.",
		`{"BlkioDeviceReadIOps":[{"Path":"/d"}]}`:   "Your kernel does not support IOPS Block read limit or the cgroup is not mounted. Block I/O IOPS read limit discarded.",
		`{"BlkioDeviceWriteIOps":[{"Path":"/d"}]}`:  "Your kernel does not support IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit discarded.",
	} {
		r := resources(t, text)
		warnings, err := nothing.checkResources(r, false)
		assert.NilError(t, err, text)
		assert.DeepEqual(t, warnings, []string{want})
		again, err := nothing.checkResources(r, false)
		assert.NilError(t, err)
		assert.Equal(t, len(again), 0, "%s is still there", text)
	}
	_, err := nothing.checkResources(&container.Resources{CPURealtimeRuntime: 5}, false)
	assert.Error(t, err, "Your kernel does not support CPU real-time scheduler")
	noSwap := able()
	noSwap.Host.Cgroup.Swap = false
	r := &container.Resources{Memory: 8000000}
	warnings, err := noSwap.checkResources(r, false)
	assert.NilError(t, err)
	assert.Equal(t, len(warnings), 1)
	assert.Equal(t, r.MemorySwap, int64(-1))
}

func TestSwapOfHugeMemoryDoesNotOverflow(t *testing.T) {
	assert.Equal(t, swapFor(6<<20), int64(12<<20))
	assert.Equal(t, swapFor(math.MaxInt64/2), int64(math.MaxInt64-1))
	assert.Equal(t, swapFor(math.MaxInt64/2+1), int64(-1))
	assert.Equal(t, swapFor(math.MaxInt64), int64(-1))
}

func TestAChangeIsMergedAsDockerDoes(t *testing.T) {
	old := &container.HostConfig{Resources: *resources(t, `{"Memory":67108864,"MemorySwap":134217728,"CpuShares":5,"PidsLimit":9}`)}
	always := &container.RestartPolicy{Name: "always"}
	now, err := Merge(old, resources(t, `{"Memory":134217728,"CpuQuota":5000,"PidsLimit":-1,"CpusetCpus":"1"}`), always)
	assert.NilError(t, err)
	assert.DeepEqual(t, now, &container.HostConfig{
		RestartPolicy: *always,
		Resources:     *resources(t, `{"Memory":134217728,"MemorySwap":134217728,"CpuShares":5,"PidsLimit":0,"CpuQuota":5000,"CpusetCpus":"1"}`),
	})
	assert.Equal(t, *old.PidsLimit, int64(9))

	for _, c := range []struct{ old, change, want string }{
		{`{"Memory":67108864,"MemorySwap":134217728}`, `{"Memory":134217729}`, "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"},
		{`{"Memory":67108864,"MemorySwap":-1}`, `{"Memory":6291456}`, "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"},
		{`{"CpuPeriod":5000}`, `{"NanoCpus":10000000}`, "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set"},
		{`{"CpuQuota":5000}`, `{"NanoCpus":10000000}`, "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set"},
		{`{"NanoCpus":10000000}`, `{"CpuPeriod":5000}`, "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set"},
		{`{"NanoCpus":10000000}`, `{"CpuQuota":5000}`, "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"},
	} {
		_, err := Merge(&container.HostConfig{Resources: *resources(t, c.old)}, resources(t, c.change), nil)
		assert.Error(t, err, c.want)
		assert.Check(t, errdefs.IsConflict(err))
	}
	_, err = Merge(&container.HostConfig{AutoRemove: true}, &container.Resources{}, always)
	assert.Error(t, err, "Restart policy cannot be updated because AutoRemove is enabled for the container")
	_, err = Merge(old, resources(t, `{"MemorySwap":67108863}`), nil)
	assert.Error(t, err, "Minimum memoryswap limit should be larger than memory limit, see usage")
}
