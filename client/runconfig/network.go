package runconfig

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// attachment is one --network: a name, or name=…,alias=…,ip=… and more.
type attachment struct {
	target     string
	aliases    []string
	links      []string
	driverOpts map[string]string
	ip, ip6    netip.Addr
	linkLocal  []netip.Addr
	mac        string
	priority   int
}

type attachments struct{ values *[]attachment }

func (a attachments) Type() string   { return "network" }
func (a attachments) String() string { return "" }

func (a attachments) Set(s string) error {
	n, err := parseAttachment(s)
	if err != nil {
		return err
	}
	*a.values = append(*a.values, n)
	return nil
}

// isLong tells the long form: a word, "=", a word, anywhere in it.
func isLong(s string) bool {
	word := func(c byte) bool {
		return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	for i := 1; i+1 < len(s); i++ {
		if s[i] == '=' && word(s[i-1]) && word(s[i+1]) {
			return true
		}
	}
	return false
}

func parseAttachment(s string) (attachment, error) {
	if !isLong(s) {
		return attachment{target: s}, nil
	}
	fields, err := csv.NewReader(strings.NewReader(s)).Read()
	if err != nil {
		return attachment{}, err
	}
	var a attachment
	for _, field := range fields {
		// docker folds the whole field's case, values included.
		key, val, ok := strings.Cut(strings.ToLower(field), "=")
		if !ok || key == "" {
			return a, fmt.Errorf("invalid field %s", field)
		}
		key, val = strings.TrimSpace(key), strings.TrimSpace(val)
		var err error
		switch key {
		case "name":
			a.target = val
		case "alias":
			a.aliases = append(a.aliases, val)
		case "ip":
			a.ip, err = netip.ParseAddr(val)
		case "ip6":
			a.ip6, err = netip.ParseAddr(val)
		case "mac-address":
			a.mac = val
		case "link-local-ip":
			var ip netip.Addr
			ip, err = netip.ParseAddr(val)
			a.linkLocal = append(a.linkLocal, ip)
		case "driver-opt":
			k, v, ok := strings.Cut(val, "=")
			if !ok || k == "" {
				return a, errors.New("invalid key value pair format in driver options")
			}
			addPair(&a.driverOpts, strings.TrimSpace(k)+"="+strings.TrimSpace(v))
		case "gw-priority":
			if a.priority, err = strconv.Atoi(val); err != nil {
				return a, fmt.Errorf("invalid gw-priority (%s): %w", val, errors.Unwrap(err))
			}
		default:
			return a, errors.New("invalid field key " + key)
		}
		if err != nil {
			return a, err
		}
	}
	if a.target == "" {
		return a, errors.New("network name/id is not specified")
	}
	return a, nil
}

// endpoints merges the flags of old (--ip, --network-alias, --link …) into the
// first network and gives the settings of all.
func (o *Options) endpoints() (map[string]*network.EndpointSettings, error) {
	out := map[string]*network.EndpointSettings{}
	nets := o.networks
	if len(nets) == 0 {
		nets = []attachment{{target: "default"}}
	}
	var user, builtin bool
	for i, n := range nets {
		if i == 0 {
			if err := o.mergeOldFlags(&n); err != nil {
				return nil, err
			}
		}
		if container.NetworkMode(n.target).IsUserDefined() {
			user = true
		} else {
			builtin = true
		}
		settings, err := n.settings()
		if err != nil {
			return nil, err
		}
		if _, ok := out[n.target]; ok {
			return nil, fmt.Errorf("network %q is specified multiple times", n.target)
		}
		// A single network without settings of its own goes by NetworkMode alone.
		if len(o.networks) == 1 && reflect.DeepEqual(settings, &network.EndpointSettings{}) {
			continue
		}
		out[n.target] = settings
	}
	if user && builtin {
		return nil, errors.New("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
	}
	return out, nil
}

func (o *Options) mergeOldFlags(n *attachment) error {
	both := func(flag, field string) error {
		return fmt.Errorf("conflicting options: cannot specify both %s and per-network %s", flag, field)
	}
	switch {
	case len(n.aliases) > 0 && len(o.aliases) > 0:
		return both("--network-alias", "alias")
	case n.ip.IsValid() && o.ip != nil:
		return both("--ip", "IPv4 address")
	case n.ip6.IsValid() && o.ip6 != nil:
		return both("--ip6", "IPv6 address")
	case n.mac != "" && o.mac != "":
		return both("--mac-address", "MAC address")
	case len(n.linkLocal) > 0 && len(o.linkLocal) > 0:
		return both("--link-local-ip", "link-local IP addresses")
	}
	n.aliases = append(n.aliases, o.aliases...)
	// On the default bridge --link is not the endpoint's: HostConfig.Links has it.
	if container.NetworkMode(n.target).IsUserDefined() {
		n.links = append(n.links, o.Host.Links...)
	}
	if ip, ok := netip.AddrFromSlice(o.ip.To4()); ok {
		n.ip = ip
	}
	if ip, ok := netip.AddrFromSlice(o.ip6.To16()); ok {
		n.ip6 = ip
	}
	if o.mac != "" {
		n.mac = o.mac
	}
	n.linkLocal = append(n.linkLocal, addresses(o.linkLocal)...)
	return nil
}

func (n attachment) settings() (*network.EndpointSettings, error) {
	if strings.TrimSpace(n.target) == "" {
		return nil, errors.New("no name set for network")
	}
	if !container.NetworkMode(n.target).IsUserDefined() {
		if len(n.aliases) > 0 {
			return nil, errors.New("network-scoped aliases are only supported for user-defined networks")
		}
		if len(n.links) > 0 {
			return nil, errors.New("links are only supported for user-defined networks")
		}
	}
	s := &network.EndpointSettings{
		GwPriority: n.priority,
		Aliases:    n.aliases,
		Links:      n.links,
		DriverOpts: n.driverOpts,
	}
	if n.ip.IsValid() || n.ip6.IsValid() || len(n.linkLocal) > 0 {
		s.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: n.ip, IPv6Address: n.ip6, LinkLocalIPs: n.linkLocal}
	}
	if n.mac != "" {
		mac, err := net.ParseMAC(strings.TrimSpace(n.mac))
		if err != nil {
			return nil, fmt.Errorf("%s is not a valid mac address", n.mac)
		}
		s.MacAddress = network.HardwareAddr(mac)
	}
	return s, nil
}

// addresses drops what is none, as docker does.
func addresses(list []string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, a)
		}
	}
	return out
}

func checkIP(s string) (string, error) {
	ip := net.ParseIP(strings.TrimSpace(s))
	if ip == nil {
		return "", fmt.Errorf("IP address is not correctly formatted: %s", s)
	}
	return ip.String(), nil
}

// checkExtraHost takes NAME:IP and NAME=IP, brackets allowed, and gives what
// the daemon understands: NAME:IP.
func checkExtraHost(s string) (string, error) {
	name, ip, ok := strings.Cut(s, "=")
	if !ok {
		name, ip, ok = strings.Cut(s, ":")
	}
	if !ok || name == "" || strings.Contains(name, ":") {
		return "", fmt.Errorf("bad format for add-host: %q", s)
	}
	if ip != "host-gateway" {
		if len(ip) > 2 && ip[0] == '[' && ip[len(ip)-1] == ']' {
			ip = ip[1 : len(ip)-1]
		}
		if _, err := checkIP(ip); err != nil {
			return "", fmt.Errorf("invalid IP address in add-host: %q", ip)
		}
	}
	return name + ":" + ip, nil
}

// checkDomain wants dot-separated names of letters, digits and inner dashes
// with a letter somewhere; "." alone empties the search list.
func checkDomain(s string) (string, error) {
	s = strings.Trim(s, " ")
	if s == "." {
		return s, nil
	}
	name := strings.TrimRight(s, " \t\r\n\f\v")
	name = strings.TrimSuffix(name, ".")
	bad := fmt.Errorf("%s is not a valid domain", s)
	letter := false
	if name == "" || len(name) >= 255 {
		return "", bad
	}
	for _, part := range strings.Split(strings.TrimPrefix(name, ":"), ".") {
		part = strings.TrimPrefix(part, ":")
		if part == "" || part[0] == '-' || part[len(part)-1] == '-' {
			return "", bad
		}
		for _, c := range []byte(part) {
			isLetter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
			letter = letter || isLetter
			if !isLetter && !(c >= '0' && c <= '9') && c != '-' {
				return "", bad
			}
		}
	}
	if !letter {
		return "", bad
	}
	return name, nil
}

// checkLink takes CONTAINER[:ALIAS].
func checkLink(s string) (string, error) {
	if s == "" {
		return s, errors.New("empty string specified for links")
	}
	if strings.Count(s, ":") > 1 {
		return s, errors.New("bad format for links: " + s)
	}
	return s, nil
}
