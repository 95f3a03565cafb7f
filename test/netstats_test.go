//go:build system

package test

import (
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"
)

func TestStatsCountWhatGoesThroughTheNetworks(t *testing.T) {
	e := startRouted(t)
	e.must("network", "create", "back")
	e.serve("web", "hello", "--network", "bridge", "-p", "8080:80")
	read := func(name string) map[string]container.NetworkStats {
		t.Helper()
		var s container.StatsResponse
		assert.NilError(t, e.JSON("GET", "/containers/"+name+"/stats?stream=false&one-shot=true", nil, &s))
		return s.Networks
	}
	before := read("web")["eth0"]
	out, err := e.onHost("for i in 1 2 3 4 5 6 7 8 9 10; do " + fetch("127.0.0.1:8080") + "; done")
	assert.NilError(t, err, out)
	after := read("web")["eth0"]
	// Ten connections are ten times at least three packets in and two out.
	assert.Check(t, after.RxPackets >= before.RxPackets+30 && after.TxPackets >= before.TxPackets+20, "%+v then %+v", before, after)
	assert.Check(t, after.RxBytes > before.RxBytes+10*40 && after.TxBytes > before.TxBytes+10*40)
	assert.Equal(t, after.RxErrors+after.TxErrors, uint64(0))

	e.must("network", "connect", "back", "web")
	_, there := read("web")["eth1"]
	assert.Check(t, there)
	e.must("network", "disconnect", "back", "web")
	assert.Equal(t, len(read("web")), 1)

	// One in its namespace has the same counters; those without networks of their own have none.
	e.must("run", "-d", "--name", "side", "--network", "container:web", "busybox", "sleep", "1000")
	assert.Check(t, read("side")["eth0"].RxPackets >= after.RxPackets)
	for _, mode := range []string{"none", "host"} {
		e.must("run", "-d", "--name", mode, "--network", mode, "busybox", "sleep", "1000")
		assert.Equal(t, len(read(mode)), 0, mode)
		assert.Equal(t, e.must("stats", "--no-stream", "--format", "{{.NetIO}}", mode), "0B / 0B")
	}
	shown := e.must("stats", "--no-stream", "--format", "{{.NetIO}}", "web")
	assert.Check(t, strings.Contains(shown, " / ") && !strings.HasPrefix(shown, "0B"), shown)
	e.must("stop", "-t", "0", "web")
	assert.Equal(t, len(read("web")), 0)
}
