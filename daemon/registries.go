package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/jobengine/engine/builtins"
)

// registries are the flags that concern registries.
type registries struct {
	builtins.Registries
	mirrors     []string
	others      mirrorTable
	http, https string
	none        string
}

func (r *registries) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&r.Insecure, "insecure-registry", nil, "Registry (HOST[:PORT]) or network (CIDR) that may do without TLS or a certificate that holds")
	f.StringArrayVar(&r.mirrors, "registry-mirror", nil, "Mirror of docker.io to ask first")
	f.Var(&r.others, "mirror", "Mirror of any registry to ask first, REGISTRY=URL")
	f.IntVar(&r.Downloads, "max-concurrent-downloads", 3, "Layers that are downloaded at the same time")
	f.IntVar(&r.Uploads, "max-concurrent-uploads", 5, "Layers that are uploaded at the same time")
	f.IntVar(&r.Attempts, "max-download-attempts", 5, "How often a download may fail in a row without getting any further")
	f.StringVar(&r.http, "http-proxy", "", "Proxy for http, instead of HTTP_PROXY")
	f.StringVar(&r.https, "https-proxy", "", "Proxy for https, instead of HTTPS_PROXY")
	f.StringVar(&r.none, "no-proxy", "", "Hosts that are reached without a proxy, instead of NO_PROXY")
}

// check puts together what is said in several places.
func (r *registries) check() error {
	for flag, n := range map[string]int{"max-concurrent-downloads": r.Downloads, "max-concurrent-uploads": r.Uploads, "max-download-attempts": r.Attempts} {
		if n < 1 {
			return fmt.Errorf("invalid %s: %d: it must be at least 1", flag, n)
		}
	}
	r.Mirrors = map[string][]string{}
	for name, urls := range r.others {
		r.Mirrors[name] = slices.Clone(urls)
	}
	if len(r.mirrors) > 0 {
		r.Mirrors["docker.io"] = append(slices.Clone(r.mirrors), r.Mirrors["docker.io"]...)
	}
	return r.Registries.Check()
}

// setProxies puts the proxies where net/http looks for them. It looks once.
func (r *registries) setProxies() {
	for name, value := range map[string]string{"HTTP_PROXY": r.http, "HTTPS_PROXY": r.https, "NO_PROXY": r.none} {
		if value != "" {
			os.Setenv(name, value)
			os.Setenv(strings.ToLower(name), value)
		}
	}
}

// mirrorTable is --mirror: URLs by registry. In a file it is an object with a
// list for each.
type mirrorTable map[string][]string

func (m *mirrorTable) Type() string { return "mirrorTable" }

func (m *mirrorTable) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(*m)) {
		for _, u := range (*m)[name] {
			all = append(all, name+"="+u)
		}
	}
	return strings.Join(all, ",")
}

func (m *mirrorTable) Set(text string) error {
	name, u, ok := strings.Cut(text, "=")
	if !ok || name == "" || strings.Contains(name, "/") {
		return errors.New("it is REGISTRY=URL")
	}
	if *m == nil {
		*m = mirrorTable{}
	}
	(*m)[name] = append((*m)[name], u)
	return nil
}

// SetJSON reads the object of the configuration file.
func (m *mirrorTable) SetJSON(data []byte) error {
	var table map[string][]string
	if err := json.Unmarshal(data, &table); err != nil {
		return errors.New(`it is an object such as {"ghcr.io": ["https://mirror.example"]}`)
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		for _, u := range table[name] {
			if err := m.Set(name + "=" + u); err != nil {
				return err
			}
		}
	}
	return nil
}
