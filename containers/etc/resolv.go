package etc

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/containers/resolvconf"
)

// DNS is what stands in the place of the host's resolv.conf.
type DNS struct {
	Servers         []netip.Addr
	Search, Options []string
	File            string // the host's; "" is /etc/resolv.conf
}

// Where systemd-resolved keeps its file for those who can not reach it on loopback.
const (
	resolvedStub = "127.0.0.53"
	resolvedFile = "/run/systemd/resolve/resolv.conf"
)

// resolvConf is the host's, with what the user, or else the daemon, says in its place.
func (c Container) resolvConf() []byte {
	servers, search, options := addrTexts(c.DNS.Servers), c.DNS.Search, c.DNS.Options
	if len(servers) == 0 {
		servers = addrTexts(c.Defaults.Servers)
	}
	if len(search) == 0 {
		search = c.Defaults.Search
	}
	if len(options) == 0 {
		options = c.Defaults.Options
	}
	text := hostFile(c.Defaults.File)
	if c.HostNetwork && len(servers) == 0 && len(search) == 0 && len(options) == 0 {
		return text
	}
	conf := resolvconf.Parse(text)
	byEngine, v6 := false, false
	for name, ep := range c.Networks {
		byEngine = byEngine || container.NetworkMode(name).IsUserDefined() && (ep.IPAddress.IsValid() || ep.GlobalIPv6Address.IsValid())
		v6 = v6 || ep.GlobalIPv6Address.IsValid()
	}
	switch {
	case byEngine:
		conf = conf.With(nil, search, options).ByEngine()
	case c.HostNetwork, len(servers) > 0:
		conf = conf.With(servers, search, options)
	default:
		if len(conf.Servers) == 1 && conf.Servers[0] == resolvedStub {
			if real := hostFile(resolvedFile); len(real) > 0 {
				conf = resolvconf.Parse(real)
			}
		}
		conf = conf.OwnStack(v6).With(nil, search, options)
	}
	return conf.Bytes()
}

func addrTexts(list []netip.Addr) []string {
	var texts []string
	for _, a := range list {
		texts = append(texts, a.String())
	}
	return texts
}

// Beside the file lie the sums of what the engine wrote. As long as it is that, it is brought up to
// date; what somebody else has written stays.
func (c Container) resolvSums() string { return c.path("resolv.conf.sums") }

func sum(text []byte) string {
	b := sha256.Sum256(text)
	return hex.EncodeToString(b[:])
}

func (c Container) newResolvConf() ([]byte, error) {
	text := c.resolvConf()
	// The sum comes first: a file without one is the user's for ever.
	return text, os.WriteFile(c.resolvSums(), []byte(sum(text)+"\n"), 0o600)
}

// RefreshResolvConf makes the file what it is to be now, if nobody has changed it.
func (c Container) RefreshResolvConf() error {
	path := c.path("resolv.conf")
	old, err := readEtc(path)
	if err != nil || old == nil {
		return err
	}
	sums, err := readEtc(c.resolvSums())
	if err != nil {
		return err
	}
	was := sum(old)
	if !strings.Contains(string(sums), was+"\n") && len(old) > 0 { // an empty one is of a write that was cut off
		return nil
	}
	text := c.resolvConf()
	if string(text) == string(old) {
		return nil
	}
	if err := os.WriteFile(c.resolvSums(), []byte(was+"\n"+sum(text)+"\n"), 0o600); err != nil {
		return err
	}
	return rewrite(path, text)
}
