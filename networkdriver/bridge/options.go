package bridge

import (
	"net/netip"
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
}

func parse(n networkdriver.Network) (settings, error) {
	s := settings{name: "br-" + short(n.ID), icc: true, masq: true}
	keys := make([]string, 0, len(n.Options))
	for k := range n.Options {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		v, err := n.Options[k], error(nil)
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
		case optPrefix, ownPrefix + "gateway_mode_ipv4", ownPrefix + "gateway_mode_ipv6", ownPrefix + "trusted_host_interfaces":
			if strings.Contains(k, "gateway_mode") && v != "nat" && v != "" || strings.HasSuffix(k, "trusted_host_interfaces") {
				err = errs.Invalid("option %q=%q is not supported by this version of engine yet", k, v)
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

func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
