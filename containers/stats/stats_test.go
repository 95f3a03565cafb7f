package stats

import (
	"encoding/json"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/usage"
)

func TestAStoppedContainerHasDockersZeros(t *testing.T) {
	text, err := json.Marshal(Response("c", "/web", Reading{}, Reading{}, 1<<30))
	assert.NilError(t, err)
	assert.Equal(t, string(text), `{"id":"c","name":"/web","read":"0001-01-01T00:00:00Z",`+
		`"cpu_stats":{"cpu_usage":{"total_usage":0,"usage_in_kernelmode":0,"usage_in_usermode":0},"throttling_data":{"periods":0,"throttled_periods":0,"throttled_time":0}},`+
		`"memory_stats":{},"pids_stats":{},"blkio_stats":{"io_service_bytes_recursive":null,"io_serviced_recursive":null,"io_queue_recursive":null,`+
		`"io_service_time_recursive":null,"io_wait_time_recursive":null,"io_merged_recursive":null,"io_time_recursive":null,"sectors_recursive":null},`+
		`"num_procs":0,"storage_stats":{},"preread":"0001-01-01T00:00:00Z",`+
		`"precpu_stats":{"cpu_usage":{"total_usage":0,"usage_in_kernelmode":0,"usage_in_usermode":0},"throttling_data":{"periods":0,"throttled_periods":0,"throttled_time":0}}}`)
}

func TestAReadingIsComparedWithTheOneBefore(t *testing.T) {
	then := time.Unix(5, 0).UTC()
	before := Reading{SystemCPU: 100, OnlineCPUs: 2, Usage: usage.Usage{Read: then, CPU: usage.CPU{Total: 7}}}
	now := Reading{SystemCPU: 200, OnlineCPUs: 2, Usage: usage.Usage{
		Read: then.Add(time.Second), CPU: usage.CPU{Total: 9, Kernel: 4, User: 5, ThrottledTime: 3},
		Memory: usage.Memory{Usage: 10, Limit: usage.Unlimited}, Pids: usage.Pids{Current: 3, Limit: 8},
		BlockIO: usage.BlockIO{Bytes: []usage.BlockIOEntry{{Major: 7, Op: "read", Value: 5}}},
	}, Interfaces: map[string]usage.Interface{"eth0": {RxBytes: 1, RxPackets: 2, RxErrors: 3, RxDropped: 4, TxBytes: 5, TxPackets: 6, TxErrors: 7, TxDropped: 8}}}
	r := Response("c", "/web", now, before, 1<<30)
	assert.Equal(t, r.CPUStats.CPUUsage.TotalUsage-r.PreCPUStats.CPUUsage.TotalUsage, uint64(2))
	assert.Equal(t, r.CPUStats.SystemUsage-r.PreCPUStats.SystemUsage, uint64(100))
	assert.Equal(t, r.PreRead, then)
	assert.Equal(t, r.MemoryStats.Limit, uint64(1<<30))
	assert.Equal(t, r.PidsStats.Limit, uint64(8))
	assert.Equal(t, r.BlkioStats.IoServiceBytesRecursive[0].Value, uint64(5))
	assert.Equal(t, r.OSType, "linux")
	text, err := json.Marshal(r.Networks)
	assert.NilError(t, err)
	assert.Equal(t, string(text), `{"eth0":{"rx_bytes":1,"rx_packets":2,"rx_errors":3,"rx_dropped":4,"tx_bytes":5,"tx_packets":6,"tx_errors":7,"tx_dropped":8}}`)
}
