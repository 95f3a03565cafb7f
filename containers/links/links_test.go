package links

import (
	"strings"
	"testing"

	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"
)

func TestLinksAreParsed(t *testing.T) {
	for text, want := range map[string]string{
		"db": "db db", "db:store": "db store", "/db:/web/store": "db store", "/db:store": "db store",
		"": "empty string specified for links", "a:b:c": "bad format for links: a:b:c", ":b": "bad format for links: :b", "a:": "bad format for links: a:",
		"a:b c": `bad format for links: "a:b c"`, "a:b\n1.2.3.4 evil": `bad format for links: "a:b\n1.2.3.4 evil"`, "a:../b": `bad format for links: "a:../b"`,
	} {
		container, alias, err := Parse(text)
		got := container + " " + alias
		if err != nil {
			got = err.Error()
		}
		assert.Check(t, got == want, "%q: %q", text, got)
	}
}

func TestVariablesTellOfALink(t *testing.T) {
	ports := network.PortSet{}
	for _, p := range []string{"82/tcp", "80/tcp", "81/tcp", "80/udp", "81/udp"} {
		ports[network.MustParsePort(p)] = struct{}{}
	}
	got := strings.Join(Env("web", "a-b", "172.17.0.4", ports, []string{"HOME=/x", "PATH=/y", "FOO=bar=baz", "odd"}), "\n")
	for _, want := range []string{
		"A_B_PORT=tcp://172.17.0.4:80", "A_B_PORT_80_TCP=tcp://172.17.0.4:80", "A_B_PORT_81_UDP_ADDR=172.17.0.4", "A_B_PORT_82_TCP_PORT=82",
		"A_B_PORT_80_UDP_PROTO=udp", "A_B_PORT_80_TCP_START=tcp://172.17.0.4:80", "A_B_PORT_80_TCP_END=tcp://172.17.0.4:82",
		"A_B_PORT_80_TCP_PORT_START=80", "A_B_PORT_80_TCP_PORT_END=82", "A_B_NAME=/web/a-b", "A_B_ENV_FOO=bar=baz",
	} {
		assert.Check(t, strings.Contains("\n"+got+"\n", "\n"+want+"\n"), "%s is not in\n%s", want, got)
	}
	assert.Check(t, !strings.Contains(got, "_80_UDP_START"), "two are no run")
	assert.Check(t, !strings.Contains(got, "HOME") && !strings.Contains(got, "PATH"))
	assert.DeepEqual(t, Env("web", "db", "172.17.0.4", nil, nil), []string{"DB_NAME=/web/db"})
}

func TestALinkedContainerHasItsAliasItsHostnameAndItsName(t *testing.T) {
	assert.DeepEqual(t, Names("store", "host", "db"), []string{"store", "host", "db"})
	assert.DeepEqual(t, Names("db", "host", "db"), []string{"db", "host"})
}
