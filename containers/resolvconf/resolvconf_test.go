package resolvconf

import (
	"testing"

	"gotest.tools/v3/assert"
)

const host = "# of the host\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver 2001:db8::1\ndomain old.example\nsearch a.example b.example\noptions edns0\noptions trust-ad\nnonsense\n"

func TestEachKindOfNetworkHasItsFile(t *testing.T) {
	c := Parse([]byte(host))
	const search = "search a.example b.example\n"
	const options = "options edns0 trust-ad"
	for _, row := range []struct {
		what string
		conf Conf
		want string
	}{
		{"own stack", c.OwnStack(false), search + "nameserver 192.0.2.1\n" + options + "\n"},
		{"own stack with IPv6", c.OwnStack(true), search + "nameserver 192.0.2.1\nnameserver 2001:db8::1\n" + options + "\n"},
		{"by the engine", c.ByEngine(), search + "nameserver 127.0.0.11\n" + options + " ndots:0\n"},
		{"ndots of the user", c.With(nil, nil, []string{"ndots:3"}).ByEngine(), search + "nameserver 127.0.0.11\noptions ndots:3\n"},
		{"servers of the user", c.With([]string{"127.0.0.1"}, []string{"."}, []string{"timeout:1"}), "nameserver 127.0.0.1\noptions timeout:1\n"},
		{"search of the user", c.With(nil, []string{"x.example"}, nil).ByEngine(), "search x.example\nnameserver 127.0.0.11\n" + options + " ndots:0\n"},
		{"none is left", Parse([]byte("nameserver 127.0.0.1\n")).OwnStack(false), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"},
		{"none is left, with IPv6", Conf{}.OwnStack(true), "nameserver 8.8.8.8\nnameserver 8.8.4.4\nnameserver 2001:4860:4860::8888\nnameserver 2001:4860:4860::8844\n"},
	} {
		assert.Check(t, string(row.conf.Bytes()) == row.want, "%s: %q", row.what, row.conf.Bytes())
	}
}
