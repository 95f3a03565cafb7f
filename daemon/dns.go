package daemon

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"

	"github.com/jobengine/engine/builtins"
)

// naming are the flags that say how containers resolve names.
type naming struct {
	servers, search, options []string
	gateways                 texts
	file                     string
}

func (n *naming) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&n.servers, "dns", nil, "DNS server of containers that name none (default: the host's)")
	f.StringArrayVar(&n.search, "dns-search", nil, "DNS search domain of containers that name none")
	f.StringArrayVar(&n.options, "dns-opt", nil, "DNS option of containers that name none")
	f.StringVar(&n.file, "resolv-conf", "/etc/resolv.conf", "The host's resolv.conf")
	f.Var(&n.gateways, "host-gateway-ip", "Address that host-gateway in --add-host stands for; one of each family (default: that of the default bridge)")
}

// texts is a list that the configuration file may give as one text too.
type texts []string

func (t *texts) Type() string   { return "ip" }
func (t *texts) String() string { return strings.Join(*t, ",") }

// Set adds one.
func (t *texts) Set(text string) error {
	*t = append(*t, text)
	return nil
}

// SetJSON takes a text or a list of texts.
func (t *texts) SetJSON(value []byte) error {
	var one string
	if json.Unmarshal(value, &one) == nil {
		return t.Set(one)
	}
	return json.Unmarshal(value, (*[]string)(t))
}

// check parses what is text.
func (n *naming) check() (dns builtins.DNS, gateways []netip.Addr, err error) {
	dns.Search, dns.Options, dns.File = n.search, n.options, n.file
	if dns.Servers, err = addrs(n.servers); err != nil {
		return dns, nil, fmt.Errorf("dns: %w", err)
	}
	for _, text := range append(append([]string{n.file}, n.search...), n.options...) {
		if text == "" || strings.ContainsAny(text, " \t\r\n#") {
			return dns, nil, fmt.Errorf("%q is no DNS option, search domain or file", text)
		}
	}
	if !strings.HasPrefix(n.file, "/") {
		return dns, nil, fmt.Errorf("resolv-conf: %q is not an absolute path", n.file)
	}
	if gateways, err = addrs(n.gateways); err != nil {
		return dns, nil, fmt.Errorf("host-gateway-ip: %w", err)
	}
	if len(gateways) > 2 || len(gateways) == 2 && gateways[0].Is4() == gateways[1].Is4() {
		return dns, nil, fmt.Errorf("host-gateway-ip: only one IPv4 and one IPv6 address are possible: %s", strings.Join(n.gateways, ", "))
	}
	return dns, gateways, nil
}

// addrs takes addresses, in several words or with commas between them.
func addrs(texts []string) ([]netip.Addr, error) {
	var list []netip.Addr
	for _, text := range texts {
		for _, one := range strings.Split(text, ",") {
			a, err := netip.ParseAddr(strings.TrimSpace(one))
			if err != nil {
				return nil, fmt.Errorf("IP address is not correctly formatted: %s", one)
			}
			list = append(list, a)
		}
	}
	return list, nil
}
