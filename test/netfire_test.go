//go:build system

package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"
)

// Everything at once: networks are made and removed, containers connected, started, stopped and removed by several
// clients, while the daemon, the supervisor or both are killed. Requests may be refused, since they get into each other's way, but none is
// answered with an internal error, and nothing is left when all is removed. TORTURE_ROUNDS is how often there
// is a kill, TORTURE_SEED repeats the choices.
func TestNetworksUnderFireLeaveNothing(t *testing.T) {
	rounds, seed := 2, uint64(os.Getpid())
	if n, err := strconv.Atoi(os.Getenv("TORTURE_ROUNDS")); err == nil {
		rounds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("TORTURE_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("TORTURE_SEED=%d TORTURE_ROUNDS=%d", seed, rounds)
	host := newMachine(t)
	host.run("iptables-nft -P FORWARD DROP")
	before := host.rules() + host.run("ip -o link | wc -l")
	e := host.engine("--bridge", "none")
	for round := range rounds + 1 {
		var clients sync.WaitGroup
		for client := range 4 {
			clients.Add(1)
			go func() {
				defer clients.Done()
				dice := rand.New(rand.NewPCG(seed, uint64(round*100+client)))
				for range 25 {
					e.fire(dice)
				}
			}()
		}
		if round < rounds {
			dice := rand.New(rand.NewPCG(seed, uint64(round)))
			for range 5 + dice.IntN(20) { // somewhere in the middle
				e.fire(dice)
			}
			who := dice.IntN(3)
			if who > 0 {
				_ = syscall.Kill(e.supervisorPid(), syscall.SIGKILL) // the last kill may be so near that there is none yet
			}
			if who < 2 {
				e.Kill()
			}
		}
		clients.Wait()
		select {
		case <-e.Done():
			assert.NilError(t, e.Start())
		default:
		}
	}
	// Nobody has an address twice.
	seen := map[string]string{}
	for _, name := range strings.Fields(e.must("ps", "--format", "{{.Names}}")) {
		for _, a := range strings.Fields(e.must("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.NetworkID}}/{{.IPAddress}} {{end}}", name)) {
			assert.Check(t, seen[a] == "", "%s and %s have the address %s", name, seen[a], a)
			seen[a] = name
		}
	}
	if all := strings.Fields(e.must("ps", "-aq")); len(all) > 0 {
		e.must(append([]string{"rm", "-f"}, all...)...)
	}
	e.must("network", "prune", "-f")
	assert.Equal(t, e.must("network", "ls", "-q", "--filter", "type=custom"), "")
	var after string
	soon(t, "nothing is left on the host", func() bool {
		after = host.rules() + host.run("ip -o link | wc -l")
		return after == before
	}, func() string { return after + host.run("ip -o link") })
	left, _ := os.ReadDir(e.ExecRoot + "/networks")
	assert.Equal(t, len(left), 0)
}

// fire makes one request by chance. The daemon may be dead.
func (e *engine) fire(dice *rand.Rand) {
	network, name := fmt.Sprint("n", dice.IntN(4)), fmt.Sprint("c", dice.IntN(6))
	port := strconv.Itoa(9000 + dice.IntN(3))
	method, path, body := "POST", "", any(nil)
	switch dice.IntN(10) {
	case 0, 1:
		path, body = "/networks/create", map[string]any{"Name": network, "Internal": dice.IntN(4) == 0, "EnableIPv6": dice.IntN(2) == 0}
	case 2:
		method, path = "DELETE", "/networks/"+network
	case 3, 4:
		path, body = "/containers/create?name="+name, map[string]any{"Image": "busybox", "Cmd": []string{"sleep", "1000"},
			"HostConfig": map[string]any{"NetworkMode": network, "PortBindings": map[string]any{"80/tcp": []any{map[string]any{"HostPort": port}}}}}
	case 5, 6:
		path = "/containers/" + name + "/start"
	case 7:
		path, body = "/networks/"+network+"/connect", map[string]any{"Container": name}
	case 8:
		path, body = "/networks/"+network+"/disconnect", map[string]any{"Container": name, "Force": dice.IntN(2) == 0}
	case 9:
		if path = "/containers/" + name + "/stop?t=0"; dice.IntN(2) == 0 {
			method, path = "DELETE", "/containers/"+name+"?force=1"
		}
	}
	code, text, _, err := e.Do(method, path, body)
	// Two of docker's answers to mistakes are internal errors, and so are ours. So is a start whose process was ended before
	// it became the program: by a supervisor's death, or by a stop of the run before.
	for _, known := range []string{"port is already allocated", "is not connected to", "container is not running"} {
		if err != nil || code < 500 || strings.Contains(text, known) {
			return
		}
	}
	e.t.Errorf("%s %s: %d %s", method, path, code, text)
}
