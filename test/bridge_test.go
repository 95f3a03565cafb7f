//go:build system

package test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

func TestTheDefaultNetworkIsABridge(t *testing.T) {
	e := startRouted(t)
	assert.Equal(t, e.must("network", "ls", "--format", "{{.Name}} {{.Driver}}"), "bridge bridge\nhost host\nnone null")
	name := e.must("network", "inspect", "-f", `{{index .Options "com.docker.network.bridge.name"}}`, "bridge")
	e.serve("web", "hello")
	assert.Equal(t, e.must("inspect", "-f", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}", "web"), "bridge")
	own := e.addressOf("web", "bridge")
	out, err := e.onHost(fetch(own))
	assert.NilError(t, err, out)
	assert.Equal(t, out, "hello")
	assert.Equal(t, e.any("run", "--rm", "busybox", "sh", "-c", fetch(own)).Out(), "hello")
	e.must("rm", "-f", "web")

	// Another engine beside it has a bridge, a subnet and a table of its own.
	beside := []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", e.Pid())}
	other := startWith(t, harness.Options{Wrap: beside, DefaultBridge: true})
	another := other.must("network", "inspect", "-f", `{{index .Options "com.docker.network.bridge.name"}}`, "bridge")
	assert.Check(t, name != another, "both have %s", name)
	subnet := func(e *engine) string {
		return e.must("network", "inspect", "-f", `{{(index .IPAM.Config 0).Subnet}}`, "bridge")
	}
	assert.Check(t, subnet(e) != subnet(other), "both have %s", subnet(e))
	assert.NilError(t, other.Stop())
	other.Reflag("--bridge", name)
	err = other.Start()
	assert.ErrorContains(t, err, "interface "+name+" is the bridge of "+name+", another engine")
	assert.ErrorContains(t, err, "or start the daemon with --bridge none")

	// Without it there is no such network, and its interface goes.
	other.Reflag("--bridge", "none")
	assert.NilError(t, other.Start())
	assert.Equal(t, other.must("network", "ls", "--format", "{{.Name}}"), "host\nnone")
	out, err = e.onHost("ip link show " + another)
	assert.Check(t, err != nil, out)
	out, err = e.onHost("ip link show " + name)
	assert.NilError(t, err, out)
}

func TestADaemonThatMayNotMakeABridgeSaysSo(t *testing.T) {
	_, err := exec.LookPath("setpriv")
	assert.NilError(t, err)
	without := []string{"unshare", "-n", "setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"}
	_, err = harness.StartEngine(harness.Options{Wrap: without, DefaultBridge: true, Dir: t.TempDir()})
	assert.ErrorContains(t, err, "the default network can not be made")
	assert.ErrorContains(t, err, "the daemon needs the right to administer the network, CAP_NET_ADMIN; or start the daemon with --bridge none")
	assert.Equal(t, strings.Count(err.Error(), "engine -d: "), 1)

	e := startWith(t, harness.Options{Wrap: without})
	assert.Equal(t, e.must("network", "ls", "--format", "{{.Name}}"), "host\nnone")
}
