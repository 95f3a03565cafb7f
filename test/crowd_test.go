//go:build system

package test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"
)

// Many containers come to many networks and go again, all at once: every call works, no
// address is anybody else's, and nothing stays behind.
func TestACrowdOnManyNetworks(t *testing.T) {
	const containers, networks = 50, 10
	rounds, until := 4, time.Time{}
	if full() {
		rounds, until = 1<<30, time.Now().Add(time.Minute)
	}
	e := startRouted(t)
	for i := range networks {
		e.must("network", "create", "--ipv6", fmt.Sprintf("net%d", i))
	}
	each := func(f func(i int, name string) error) {
		t.Helper()
		var all sync.WaitGroup
		for i := range containers {
			all.Go(func() {
				if err := f(i, fmt.Sprintf("c%d", i)); err != nil {
					t.Errorf("container %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	each(func(_ int, name string) error {
		body := map[string]any{"Image": "busybox", "Cmd": []string{"sleep", "100000"}, "HostConfig": map[string]any{"Init": true}}
		if err := e.JSON("POST", "/containers/create?name="+name, body, nil); err != nil {
			return err
		}
		return e.JSON("POST", "/containers/"+name+"/start", nil, nil)
	})
	links := func() string { return e.host().sh("ip -o link show type veth | wc -l") }
	before, rules := links(), e.host().sh("nft list table inet "+e.table())
	assert.Equal(t, before, fmt.Sprint(containers))

	var mu sync.Mutex
	owners := map[string]string{}
	own := func(name string, addresses ...string) error {
		mu.Lock()
		defer mu.Unlock()
		for _, a := range addresses {
			if other, taken := owners[a]; taken {
				return fmt.Errorf("%s has %s, and so has %s", name, a, other)
			}
			owners[a] = name
		}
		return nil
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	moves := func(i int, name string) error {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		for round := 0; round < rounds && (until.IsZero() || time.Now().Before(until)); round++ {
			nw := fmt.Sprintf("net%d", random.IntN(networks))
			if err := e.JSON("POST", "/networks/"+nw+"/connect", map[string]any{"Container": name}, nil); err != nil {
				return fmt.Errorf("connect to %s: %w", nw, err)
			}
			var is container.InspectResponse
			if err := e.JSON("GET", "/containers/"+name+"/json", nil, &is); err != nil {
				return err
			}
			ep := is.NetworkSettings.Networks[nw]
			if ep == nil || !ep.IPAddress.IsValid() || !ep.GlobalIPv6Address.IsValid() {
				return fmt.Errorf("on %s it has no addresses: %+v", nw, ep)
			}
			addresses := []string{ep.IPAddress.String(), ep.GlobalIPv6Address.String()}
			if err := own(name, addresses...); err != nil {
				return err
			}
			mu.Lock()
			for _, a := range addresses {
				delete(owners, a)
			}
			mu.Unlock()
			if err := e.JSON("POST", "/networks/"+nw+"/disconnect", map[string]any{"Container": name}, nil); err != nil {
				return fmt.Errorf("disconnect from %s: %w", nw, err)
			}
		}
		return nil
	}
	each(moves)

	for i := range networks {
		var is network.Inspect
		assert.NilError(t, e.JSON("GET", fmt.Sprintf("/networks/net%d", i), nil, &is))
		assert.Equal(t, len(is.Containers), 0)
	}
	assert.Equal(t, links(), before, "pairs of interfaces")
	assert.Equal(t, e.host().sh("nft list table inet "+e.table()), rules)
	each(func(_ int, name string) error {
		return e.JSON("DELETE", "/containers/"+name+"?force=1", nil, nil)
	})
	assert.Equal(t, strings.Count(e.must("network", "prune", "-f"), "net"), networks)
	eventually(t, "no pair of a container is left", func() bool { return links() == "0" })
}
