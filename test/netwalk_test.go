//go:build system

package test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// A walker is one client that makes, connects and removes networks and containers of its own at random, and
// keeps a model of what was acknowledged. Some networks it shares with the others.
type walker struct {
	e      *engine
	name   string
	random *rand.Rand
	shared []string
	nets   map[string]bool
	boxes  map[string]*walked
	n      int
}

type walked struct {
	running bool
	nets    map[string]bool
}

// step does one thing at random; the answer must be the one that the model expects.
func (w *walker) step() error {
	mine := slices.Sorted(maps.Keys(w.nets))
	boxes := slices.Sorted(maps.Keys(w.boxes))
	all := append(append([]string{}, w.shared...), mine...)
	pick := func(list []string) string { return list[w.random.IntN(len(list))] }
	if len(boxes) == 0 || len(boxes) < 4 && w.random.IntN(5) == 0 {
		w.n++
		name, on := fmt.Sprintf("%s-c%d", w.name, w.n), pick(all)
		err := w.ask(201, "POST", "/containers/create?name="+name, map[string]any{
			"Image": "busybox", "Cmd": []string{"sleep", "1000"}, "HostConfig": map[string]any{"NetworkMode": on},
		})
		w.boxes[name] = &walked{nets: map[string]bool{on: true}}
		return err
	}
	name := pick(boxes)
	box := w.boxes[name]
	switch w.random.IntN(12) {
	case 0:
		if len(mine) > 2 {
			return nil
		}
		w.n++
		nw := fmt.Sprintf("%s-n%d", w.name, w.n)
		w.nets[nw] = true
		return w.ask(201, "POST", "/networks/create", map[string]any{"Name": nw})
	case 1:
		if len(mine) == 0 {
			return nil
		}
		nw := pick(mine)
		used, runs := false, false
		for _, b := range w.boxes {
			used, runs = used || b.nets[nw], runs || b.nets[nw] && b.running
		}
		switch {
		case runs:
			return w.ask(403, "DELETE", "/networks/"+nw, nil)
		case used: // a start would fail later
			return nil
		}
		delete(w.nets, nw)
		return w.ask(204, "DELETE", "/networks/"+nw, nil)
	case 2, 3:
		want := 204
		if box.running {
			want = 304
		}
		box.running = true
		return w.ask(want, "POST", "/containers/"+name+"/start", nil)
	case 4:
		want := 204
		if !box.running {
			want = 304
		}
		box.running = false
		return w.ask(want, "POST", "/containers/"+name+"/stop?t=0", nil)
	case 5, 6, 7:
		nw, want := pick(all), 200
		if box.nets[nw] && box.running {
			want = 403
		}
		box.nets[nw] = true
		return w.ask(want, "POST", "/networks/"+nw+"/connect", map[string]any{"Container": name})
	case 8, 9:
		nw, want := pick(all), 200
		if !box.nets[nw] {
			want = 500
		}
		delete(box.nets, nw)
		return w.ask(want, "POST", "/networks/"+nw+"/disconnect", map[string]any{"Container": name})
	case 10:
		delete(w.boxes, name)
		return w.ask(204, "DELETE", "/containers/"+name+"?force=1", nil)
	}
	return w.check(name)
}

func (w *walker) ask(want int, method, path string, body any) error {
	code, text, _, err := w.e.Do(method, path, body)
	if err == nil && code != want {
		err = fmt.Errorf("%s %s %v: %d %s, expected %d", method, path, body, code, strings.TrimSpace(text), want)
	}
	return err
}

// check compares what is told of a container with what was acknowledged.
func (w *walker) check(name string) error {
	var is container.InspectResponse
	if err := w.e.JSON(http.MethodGet, "/containers/"+name+"/json", nil, &is); err != nil {
		return err
	}
	box := w.boxes[name]
	if is.State.Running != box.running {
		return fmt.Errorf("%s runs: %v, expected %v", name, is.State.Running, box.running)
	}
	if have, want := slices.Sorted(maps.Keys(is.NetworkSettings.Networks)), slices.Sorted(maps.Keys(box.nets)); !slices.Equal(have, want) {
		return fmt.Errorf("%s is on %v, expected %v", name, have, want)
	}
	for nw, ep := range is.NetworkSettings.Networks {
		if ep.IPAddress.IsValid() != box.running {
			return fmt.Errorf("%s has the address %s on %s, running: %v", name, ep.IPAddress, nw, box.running)
		}
	}
	return nil
}

// walkersOn are the containers of all walkers that should be on a network.
func walkersOn(walkers []*walker, nw string) []string {
	var names []string
	for _, w := range walkers {
		for name, box := range w.boxes {
			if box.running && box.nets[nw] {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// TestTortureNetworksAreWhatWasAcknowledged lets clients change networks and containers at random at the same
// time, and compares with their models, also after the daemon was killed.
func TestTortureNetworksAreWhatWasAcknowledged(t *testing.T) {
	host := newMachine(t)
	e := startWith(t, harness.Options{Wrap: host.wrap(), DefaultBridge: true})
	e.load()
	random := dice(t)
	before := e.must("network", "ls", "-q", "--no-trunc")
	shared := []string{"bridge", "shared"}
	e.must("network", "create", "--subnet", "10.66.0.0/24", "shared")
	var walkers []*walker
	var wg sync.WaitGroup
	failed := make(chan error, 8)
	for i := range 8 {
		w := &walker{
			e: e, name: fmt.Sprintf("w%d", i), random: rand.New(rand.NewPCG(random.Uint64(), 7)), shared: shared, nets: map[string]bool{}, boxes: map[string]*walked{},
		}
		walkers = append(walkers, w)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := range size(40, 1000) {
				if err := w.step(); err != nil {
					failed <- fmt.Errorf("%s, step %d: %w", w.name, n, err)
					return
				}
			}
		}()
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	if t.Failed() {
		return
	}
	compare := func() {
		t.Helper()
		var list []network.Summary
		assert.NilError(t, e.JSON("GET", "/networks", nil, &list))
		names := []string{}
		for _, nw := range list {
			names = append(names, nw.Name)
		}
		expected := []string{"bridge", "host", "none", "shared"}
		for _, w := range walkers {
			expected = append(expected, slices.Collect(maps.Keys(w.nets))...)
			for name := range w.boxes {
				assert.NilError(t, w.check(name))
			}
		}
		slices.Sort(names)
		slices.Sort(expected)
		assert.DeepEqual(t, names, expected)
		for _, nw := range list {
			var is network.Inspect
			assert.NilError(t, e.JSON("GET", "/networks/"+nw.ID, nil, &is))
			on, addresses := []string{}, map[netip.Addr]string{}
			for _, c := range is.Containers {
				on = append(on, c.Name)
				if nw.Driver != "bridge" {
					continue
				}
				a := c.IPv4Address.Addr()
				assert.Check(t, addresses[a] == "" && is.IPAM.Config[0].Subnet.Contains(a), "%s and %s have %s on %s", c.Name, addresses[a], a, nw.Name)
				addresses[a] = c.Name
			}
			slices.Sort(on)
			assert.Check(t, slices.Equal(on, walkersOn(walkers, nw.Name)), "on %s are %v, expected %v", nw.Name, on, walkersOn(walkers, nw.Name))
		}
	}
	compare()
	e.Kill()
	assert.NilError(t, e.Start())
	compare()

	for _, w := range walkers {
		for name := range w.boxes {
			assert.NilError(t, w.ask(204, "DELETE", "/containers/"+name+"?force=1", nil))
		}
		for nw := range w.nets {
			assert.NilError(t, w.ask(204, "DELETE", "/networks/"+nw, nil))
		}
	}
	e.must("network", "rm", "shared")
	assert.Equal(t, e.must("network", "ls", "-q", "--no-trunc"), before)
	eventually(t, "no pair of a container is left", func() bool {
		out, _ := host.try("ip -o link | grep -c veth")
		return out == "0"
	})
}
