package bridge

import (
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/networkdriver"
)

// The options of a network, with Docker's names.
const (
	optName     = "com.docker.network.bridge.name"
	optICC      = "com.docker.network.bridge.enable_icc"
	optMasq     = "com.docker.network.bridge.enable_ip_masquerade"
	optBinding  = "com.docker.network.bridge.host_binding_ipv4"
	optDefault  = "com.docker.network.bridge.default_bridge"
	optInhibit  = "com.docker.network.bridge.inhibit_ipv4"
	optMTU      = "com.docker.network.driver.mtu"
	optTrusted  = "com.docker.network.bridge.trusted_host_interfaces"
	optPrefix   = "com.docker.network.container_iface_prefix"
	ownPrefix   = "com.docker.network.bridge."
	maxNameSize = 15 // IFNAMSIZ without its zero
)

// settings is what the options of a network say.
type settings struct {
	name       string // of the bridge
	icc, masq  bool
	inhibitV4  bool // the bridge has no IPv4 address
	mtu        int  // 0 is the kernel's
	given      bool // a bridge of the user's: it was there before, and stays
	byDefault  bool
	bindingIP4 netip.Addr
	mode4      gatewayMode
	mode6      gatewayMode
	trusted    []string // interfaces of the host by which published ports are reached at the endpoints' own addresses
}

// A gatewayMode says how others reach a network by one family of addresses.
type gatewayMode string

const (
	modeNAT         gatewayMode = "nat"             // by published ports of the host
	modeUnprotected gatewayMode = "nat-unprotected" // and by routing to its addresses, all ports
	modeRouted      gatewayMode = "routed"          // by routing to its addresses, published ports only
	modeIsolated    gatewayMode = "isolated"        // not even the host does: the bridge has no address
)

func (s settings) mode(v6 bool) gatewayMode {
	if v6 {
		return s.mode6
	}
	return s.mode4
}

func parse(n networkdriver.Network) (settings, error) {
	s := settings{name: "br-" + networkdriver.Short(n.ID), icc: true, masq: true, mode4: modeNAT, mode6: modeNAT}
	keys := make([]string, 0, len(n.Options))
	for k := range n.Options {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		v, err := n.Options[k], error(nil)
		mode := func(into *gatewayMode) {
			switch m := gatewayMode(v); {
			case m == modeNAT, m == modeUnprotected, m == modeRouted, m == modeIsolated && n.Internal:
				*into = m
			case m == modeIsolated:
				err = errs.Invalid("gateway mode 'isolated' can only be used for an internal network")
			case m != "":
				err = errs.Invalid("unknown gateway mode %s", v)
			}
		}
		truth := func(into *bool) {
			if v == "" {
				*into = true
			} else if *into, err = strconv.ParseBool(v); err != nil {
				err = errs.Invalid("failed to parse %s value: %s (%v)", k, v, err)
			}
		}
		switch k {
		case optName:
			if v == "" || len(v) > maxNameSize || strings.ContainsAny(v, "/ \t\n:") || v == "." || v == ".." {
				return s, errs.Invalid("invalid bridge name %q: at most %d characters, no '/', ':' or space", v, maxNameSize)
			}
			s.name = v
		case optICC:
			truth(&s.icc)
		case optMasq:
			truth(&s.masq)
		case optDefault:
			truth(&s.byDefault)
		case optInhibit:
			truth(&s.inhibitV4)
		case optMTU:
			if s.mtu, err = strconv.Atoi(v); err != nil {
				err = errs.Invalid("failed to parse %s value: %s (%v)", k, v, err)
			} else if s.mtu < 0 || s.mtu > 65535 {
				err = errs.Invalid("invalid MTU number: %d", s.mtu)
			}
		case optBinding:
			if s.bindingIP4, err = netip.ParseAddr(v); err != nil || !s.bindingIP4.Is4() {
				err = errs.Invalid("failed to parse %s value: %s (not an IPv4 address)", k, v)
			}
		case ownPrefix + "gateway_mode_ipv4":
			mode(&s.mode4)
		case ownPrefix + "gateway_mode_ipv6":
			mode(&s.mode6)
		case optPrefix:
		case optTrusted:
			for _, name := range strings.FieldsFunc(v, func(r rune) bool { return r == ':' }) {
				if len(name) > maxNameSize {
					err = errs.Invalid("failed to parse %s value: %s (%q is no name of an interface)", k, v, name)
				}
				if !slices.Contains(s.trusted, name) {
					s.trusted = append(s.trusted, name)
				}
			}
		default:
			if strings.HasPrefix(k, ownPrefix) {
				err = errs.Invalid("unknown option %q of a bridge network", k)
			}
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}
