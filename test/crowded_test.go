//go:build system

package test

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// A network driver of a third party, in its own main.
func TestAThirdPartysNetworkDriverWorksAsOursDo(t *testing.T) {
	useExample(t, "greeter")
	host, lan := newMachines(t)
	e := host.engine()
	r := e.any("network", "create", "-d", "crowded", "-o", "room=many", "small")
	assert.Check(t, r.Code == 1 && strings.Contains(r.Stderr, `"many" is not a number`), r.Stderr)
	e.must("network", "create", "-d", "crowded", "-o", "room=1", "small")
	e.serve("web", "hello", "--network", "small", "-p", "8080:80")
	soon(t, "its port", func() bool { out, _ := lan.try(fetch("10.213.0.1:8080")); return out == "hello" })
	e.Kill()
	assert.NilError(t, e.Start())
	soon(t, "its port after a restart", func() bool { out, _ := lan.try(fetch("10.213.0.1:8080")); return out == "hello" })
	r = e.any("run", "--rm", "--network", "small", "busybox", "true")
	assert.Check(t, r.Code == 125 && strings.Contains(r.Stderr, "the network has room for 1 containers"), r.Stderr)
	e.must("rm", "-f", "web")
	e.must("run", "--rm", "--network", "small", "busybox", "true")
	e.must("network", "rm", "small")
	assert.Check(t, !strings.Contains(host.rules(), "crowded"))
}
