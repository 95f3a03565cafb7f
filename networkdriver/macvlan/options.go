package macvlan

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/networkdriver"
)

// The options of a network, with Docker's names.
const (
	optParent = "parent"
	optMode   = "macvlan_mode"
	optMTU    = "com.docker.network.driver.mtu"
)

var modes = map[string]netlink.MacvlanMode{
	"": netlink.MACVLAN_MODE_BRIDGE, "bridge": netlink.MACVLAN_MODE_BRIDGE, "private": netlink.MACVLAN_MODE_PRIVATE,
	"vepa": netlink.MACVLAN_MODE_VEPA, "passthru": netlink.MACVLAN_MODE_PASSTHRU,
}

// settings is what the options of a network say.
type settings struct {
	parent string // the interface below
	alone  bool   // the parent leads nowhere and is the network's own
	on     string // of a VLAN: the interface that it is on
	vlan   int    // 0: the parent is none, as far as its name tells
	mode   netlink.MacvlanMode
	mtu    int // 0 is the parent's
}

func parse(n networkdriver.Network) (settings, error) {
	s := settings{parent: n.Options[optParent]}
	var ok bool
	if s.mode, ok = modes[n.Options[optMode]]; !ok {
		return s, errs.Invalid("requested macvlan mode '%s' is not valid, 'bridge' mode is the macvlan driver default", n.Options[optMode])
	}
	for key, value := range n.Options {
		switch {
		case key == optMTU:
			var err error
			if s.mtu, err = strconv.Atoi(value); err != nil || s.mtu < 0 || s.mtu > 65535 {
				return s, errs.Invalid("failed to parse driver.mtu option %q: a number from 0 to 65535", value)
			}
		case key != optParent && key != optMode && !strings.Contains(key, "."):
			return s, errs.Invalid("unknown option %q of a macvlan network", key)
		}
	}
	if s.parent == "lo" {
		return s, errs.Invalid("loopback interface is not a valid macvlan parent link")
	}
	if len(s.parent) > 15 || strings.ContainsAny(s.parent, "/ \t\n:") || s.parent == "." || s.parent == ".." {
		return s, errs.Invalid("invalid parent interface %q: at most 15 characters, no '/', ':' or space", s.parent)
	}
	if s.parent == "" || n.Internal {
		s.parent, s.alone = "dm-"+networkdriver.Short(n.ID), true
		return s, nil
	}
	if on, id, ok := strings.Cut(s.parent, "."); ok {
		vlan, err := strconv.Atoi(id)
		if err != nil || on == "" {
			return s, errs.Invalid("invalid subinterface vlan name %s, example formatting is eth0.10", s.parent)
		}
		if vlan < 1 || vlan > 4094 {
			return s, errs.Invalid("vlan id must be between 1-4094, received: %d", vlan)
		}
		s.on, s.vlan = on, vlan
	}
	return s, nil
}

func (s settings) describe() string {
	if s.alone {
		return fmt.Sprintf("the interface %s of its own", s.parent)
	}
	return "parent interface " + s.parent
}

func gateway(subnets []networkdriver.Subnet) netip.Addr {
	for _, s := range subnets {
		if s.Gateway.IsValid() {
			return s.Gateway
		}
	}
	return netip.Addr{}
}
