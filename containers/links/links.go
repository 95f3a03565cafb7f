// Package links knows the links of containers of the default bridge, which has no names: lines of
// /etc/hosts and variables tell a container where another one is.
package links

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/errs"
)

// Parse takes CONTAINER or CONTAINER:ALIAS, and the form that inspect shows, /CONTAINER:/OWNER/ALIAS.
func Parse(text string) (container, alias string, err error) {
	if text == "" {
		return "", "", errs.Invalid("empty string specified for links")
	}
	container, alias, both := strings.Cut(text, ":")
	switch {
	case strings.Contains(alias, ":"):
		return "", "", errs.Invalid("bad format for links: %s", text)
	case !both:
		return container, container, nil
	case strings.HasPrefix(container, "/"):
		alias = path.Base(alias)
	}
	container = strings.TrimPrefix(container, "/")
	for _, r := range alias {
		// It becomes a word in a line of /etc/hosts and part of the name of a variable.
		if r <= ' ' || r == 0x7f || r == '#' || r == '=' || r == '/' {
			return "", "", errs.Invalid("bad format for links: %q", text)
		}
	}
	if container == "" || alias == "" {
		return "", "", errs.Invalid("bad format for links: %s", text)
	}
	return container, alias, nil
}

// Names are what a linked container is called in /etc/hosts.
func Names(alias, hostname, name string) []string {
	list := []string{alias, hostname}
	if alias != name {
		list = append(list, name)
	}
	return list
}

// byProto sorts tcp before all others.
func byProto(a, b network.Port) int {
	rank := func(p network.Port) string {
		if p.Proto() == network.TCP {
			return ""
		}
		return string(p.Proto())
	}
	return cmp.Compare(rank(a), rank(b))
}

// Env gives the variables that tell owner about a linked container: its address, exposed
// ports and its own environment.
func Env(owner, alias, address string, exposed network.PortSet, env []string) []string {
	prefix := strings.ReplaceAll(strings.ToUpper(alias), "-", "_")
	var out []string
	add := func(format string, args ...any) { out = append(out, prefix+fmt.Sprintf(format, args...)) }
	url := func(p network.Port) string { return fmt.Sprintf("%s://%s:%d", p.Proto(), address, p.Num()) }
	upper := func(p network.Port) string { return fmt.Sprintf("%d_%s", p.Num(), strings.ToUpper(string(p.Proto()))) }

	var ports []network.Port
	for p := range exposed {
		ports = append(ports, p)
	}
	slices.SortFunc(ports, func(a, b network.Port) int { return cmp.Or(cmp.Compare(a.Num(), b.Num()), byProto(a, b)) })
	if len(ports) > 0 {
		add("_PORT=%s", url(ports[0]))
	}
	// Runs of three ports and more of one protocol, as one.
	tcpFirst := slices.Clone(ports)
	slices.SortFunc(tcpFirst, func(a, b network.Port) int { return cmp.Or(byProto(a, b), cmp.Compare(a.Num(), b.Num())) })
	for i := 0; i < len(tcpFirst); {
		j := i
		for j+1 < len(tcpFirst) && tcpFirst[j+1].Proto() == tcpFirst[i].Proto() && tcpFirst[j+1].Num() == tcpFirst[j].Num()+1 {
			j++
		}
		if from, to := tcpFirst[i], tcpFirst[j]; j > i+1 {
			add("_PORT_%s_START=%s", upper(from), url(from))
			add("_PORT_%s_ADDR=%s", upper(from), address)
			add("_PORT_%s_PROTO=%s", upper(from), from.Proto())
			add("_PORT_%s_PORT_START=%d", upper(from), from.Num())
			add("_PORT_%s_END=%s", upper(from), url(to))
			add("_PORT_%s_PORT_END=%d", upper(from), to.Num())
		}
		i = j + 1
	}
	for _, p := range ports {
		add("_PORT_%s=%s", upper(p), url(p))
		add("_PORT_%s_ADDR=%s", upper(p), address)
		add("_PORT_%s_PORT=%d", upper(p), p.Num())
		add("_PORT_%s_PROTO=%s", upper(p), p.Proto())
	}
	add("_NAME=/%s/%s", owner, alias)
	for _, kv := range env {
		if name, _, ok := strings.Cut(kv, "="); ok && name != "HOME" && name != "PATH" {
			add("_ENV_%s", kv)
		}
	}
	return out
}
