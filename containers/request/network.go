package request

import (
	"net/netip"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/internal/errs"
)

// CheckNetwork takes the networks that there are: none, host, and other containers'.
func CheckNetwork(hc *container.HostConfig) error {
	mode := hc.NetworkMode
	for port, bindings := range hc.PortBindings {
		for _, b := range bindings {
			if strings.Trim(b.HostPort, "0123456789-") != "" {
				return errs.Invalid("invalid port specification: %q", b.HostPort)
			}
		}
		if len(bindings) > 0 && !mode.IsHost() {
			return errs.NotImplemented("port %s can not be published: published ports do not exist yet in this version: use --network host", port)
		}
	}
	if hc.PublishAllPorts && !mode.IsHost() {
		return errs.NotImplemented("PublishAllPorts: published ports do not exist yet in this version: use --network host")
	}
	switch {
	case mode == "", mode.IsDefault(), mode.IsNone(), mode.IsHost(), mode.IsContainer():
		return nil
	}
	return errs.NotImplemented("network %q does not exist yet in this version: use --network none or host", mode)
}

// checkExtraHosts checks "name:address".
func checkExtraHosts(list []string) error {
	for _, h := range list {
		name, addr, ok := CutExtraHost(h)
		if !ok || name == "" {
			return errs.Invalid("bad format for add-host: %q", h)
		}
		if err := checkHostname("add-host", name, 253); err != nil || strings.ContainsAny(name, " #") {
			return errs.Invalid("bad format for add-host: %q", h)
		}
		if addr == "host-gateway" {
			return errs.NotImplemented("add-host: host-gateway does not exist yet in this version")
		}
		if _, err := netip.ParseAddr(addr); err != nil {
			return errs.Invalid("invalid IP address in add-host: %q", addr)
		}
	}
	return nil
}

// CutExtraHost cuts name:address or name=address; the address may be IPv6 in brackets or not.
func CutExtraHost(text string) (name, addr string, ok bool) {
	i := strings.IndexAny(text, ":=")
	if i < 0 {
		return "", "", false
	}
	addr = text[i+1:]
	if len(addr) > 2 && addr[0] == '[' && addr[len(addr)-1] == ']' {
		addr = addr[1 : len(addr)-1]
	}
	return text[:i], addr, addr != ""
}

// checkDNS refuses what could make lines of its own in /etc/resolv.conf.
func checkDNS(hc *container.HostConfig) error {
	for _, a := range hc.DNS {
		if !a.IsValid() {
			return errs.Invalid("invalid DNS server: not an IP address")
		}
	}
	for what, list := range map[string][]string{"DNS search domain": hc.DNSSearch, "DNS option": hc.DNSOptions} {
		for _, text := range list {
			for _, r := range text {
				if r <= ' ' || r == 0x7f || r == '#' || r == ';' && what != "DNS option" {
					return errs.Invalid("invalid %s: %q", what, text)
				}
			}
		}
	}
	return nil
}
