// Package resolvconf makes the resolv.conf of a container out of the host's and of what was asked for.
package resolvconf

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Embedded is the engine's own resolver, on networks that users made.
const Embedded = "127.0.0.11"

// Conf is what a resolv.conf says.
type Conf struct {
	Servers []string
	Search  []string
	Options []string
}

// Parse reads one. What is no line of resolv.conf is left out.
func Parse(text []byte) Conf {
	var c Conf
	for line := range strings.Lines(string(text)) {
		switch words := strings.Fields(line); {
		case len(words) < 2:
		case words[0] == "nameserver":
			c.Servers = append(c.Servers, words[1])
		case words[0] == "search" || words[0] == "domain": // the last one counts
			c.Search = words[1:]
		case words[0] == "options":
			c.Options = append(c.Options, words[1:]...)
		}
	}
	return c
}

// With puts what was asked for, if it was, in the place of what is there. A single dot is
// no search domain at all.
func (c Conf) With(servers, search, options []string) Conf {
	if len(servers) > 0 {
		c.Servers = servers
	}
	if len(search) > 0 {
		if c.Search = search; len(search) == 1 && search[0] == "." {
			c.Search = nil
		}
	}
	if len(options) > 0 {
		c.Options = options
	}
	return c
}

// OwnStack is for a container whose loopback, and whose zones of link-local addresses, are not the
// host's: servers there are left out. v6 tells whether it has IPv6. If none is left, there are those that
// docker takes.
func (c Conf) OwnStack(v6 bool) Conf {
	c.Servers = slices.DeleteFunc(slices.Clone(c.Servers), func(text string) bool {
		a, err := netip.ParseAddr(text)
		return err != nil || a.IsLoopback() || a.Zone() != "" || a.Is6() && !v6
	})
	if len(c.Servers) == 0 {
		c.Servers = []string{"8.8.8.8", "8.8.4.4"}
		if v6 {
			c.Servers = append(c.Servers, "2001:4860:4860::8888", "2001:4860:4860::8844")
		}
	}
	return c
}

// ByEngine is for a container that asks the engine. A name without dots may be a container's, so it is
// asked for as it is before the search domains are tried.
func (c Conf) ByEngine() Conf {
	c.Servers = []string{Embedded}
	if !slices.ContainsFunc(c.Options, func(o string) bool { return strings.HasPrefix(o, "ndots:") }) {
		c.Options = append(slices.Clone(c.Options), "ndots:0")
	}
	return c
}

// Bytes is the file.
func (c Conf) Bytes() []byte {
	var b []byte
	if len(c.Search) > 0 {
		b = fmt.Appendf(b, "search %s\n", strings.Join(c.Search, " "))
	}
	for _, s := range c.Servers {
		b = fmt.Appendf(b, "nameserver %s\n", s)
	}
	if len(c.Options) > 0 {
		b = fmt.Appendf(b, "options %s\n", strings.Join(c.Options, " "))
	}
	return b
}
