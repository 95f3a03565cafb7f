//go:build system

package test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/test/harness"
)

// Between all steps of the bridge driver: what is in the kernel afterwards is what is listed, the verb can be
// done, and in the end nothing is left.
func TestDeathAndFailureInsideTheBridgeDriver(t *testing.T) {
	withFailpoints(t)
	host := newMachine(t)
	e := startWith(t, harness.Options{Wrap: host.wrap()})
	e.load()
	verbs := map[string][]string{
		"create":     {"network", "create", "two"},
		"rm":         {"network", "rm", "two"},
		"connect":    {"network", "connect", "two", "web"},
		"disconnect": {"network", "disconnect", "two", "web"},
		"start":      {"start", "web"},
		"stop":       {"stop", "-t", "0", "web"},
	}
	all := slices.Concat(
		faults("create", failpoint.BridgeCreate, failpoint.BridgeCreate+"@2"),
		faults("rm", failpoint.BridgeDelete),
		faults("connect", failpoint.BridgeJoin, failpoint.BridgeJoin+"@2"),
		faults("disconnect", failpoint.BridgeLeave, failpoint.BridgeForget),
		faults("start", failpoint.BridgeJoin, failpoint.BridgeJoin+"@2", failpoint.BridgePublish),
		faults("stop", failpoint.BridgeLeave, failpoint.BridgeForget),
	)
	state := func(what string) string { return e.must("inspect", "-f", what, "web") }
	running := func() bool { return state("{{.State.Running}}") == "true" }
	networks := func() []string {
		return strings.Fields(state("{{range $n, $_ := .NetworkSettings.Networks}}{{$n}} {{end}}"))
	}
	listed := func() []string {
		ids := strings.Fields(e.must("network", "ls", "-q", "--filter", "driver=bridge"))
		slices.Sort(ids)
		return ids
	}
	for _, f := range all {
		e.must("network", "create", "one")
		if f.verb != "create" {
			e.must("network", "create", "two")
		}
		e.must("create", "--name", "web", "--network", "one", "-p", "127.0.0.1:8080:80", "busybox", "sleep", "1000")
		if f.verb == "disconnect" {
			e.must("network", "connect", "two", "web")
		}
		if f.verb != "start" && f.verb != "connect" {
			e.must("start", "web")
		}
		// With the daemon that has the failpoint nothing but the verb comes to the driver.
		if f.verb == "connect" {
			e.must("start", "web")
		}
		assert.NilError(t, e.Stop())
		e.SetEnv(f.env(t)...)
		assert.NilError(t, e.Start(), f)
		e.SetEnv()
		res, err := e.Run(e.cli, verbs[f.verb]...)
		assert.NilError(t, err)
		if f.action == "die" {
			<-e.Done()
			assert.NilError(t, e.Start(), f)
		} else if f.verb != "stop" && f.verb != "disconnect" {
			assert.Assert(t, res.Code != 0, "%s: %s", f, res)
		}
		whole := func(when string) {
			t.Helper()
			eventually(t, fmt.Sprintf("%s: %s: what is listed is there, and nothing else", f, when), func() bool {
				bridges, pairs := networksOf(t, host.run)
				ports, _ := host.try("nft list ruleset | grep -c 8080")
				if !running() {
					return slices.Equal(bridges, listed()) && pairs == 0 && ports == "0"
				}
				out, err := exec.Command("nsenter", "--net="+e.inside("web").path, "ip", "-o", "link").CombinedOutput()
				return err == nil && slices.Equal(bridges, listed()) && pairs == len(networks()) && strings.Count(string(out), " eth") == pairs && ports == "1"
			})
		}
		whole("afterwards")
		// It has happened, or it can be done.
		if f.verb != "create" && f.verb != "rm" || slices.Contains(strings.Fields(e.must("network", "ls", "--format", "{{.Name}}")), "two") != (f.verb == "create") {
			done := map[string]bool{"connect": len(networks()) == 2, "disconnect": len(networks()) == 1, "start": running(), "stop": !running()}
			if !done[f.verb] {
				e.must(verbs[f.verb]...)
			}
		}
		whole("done again")
		e.must("rm", "-f", "web")
		e.must("network", "prune", "-f")
		assert.Equal(t, len(listed()), 0, f)
		bridges, pairs := networksOf(t, host.run)
		assert.Equal(t, len(bridges)+pairs, 0, f)
		assert.Equal(t, host.run("nft list tables"), "", f)
	}
}
