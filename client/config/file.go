package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// File is the part of config.json that the CLI uses. Unknown keys are left alone.
type File struct {
	PsFormat       string            `json:"psFormat"`
	ImagesFormat   string            `json:"imagesFormat"`
	NetworksFormat string            `json:"networksFormat"`
	DetachKeys     string            `json:"detachKeys"`
	CurrentContext string            `json:"currentContext"`
	HTTPHeaders    map[string]string `json:"HttpHeaders"`
	Proxies        map[string]Proxy  `json:"proxies"` // by daemon host, or "default"
}

// Proxy is what containers should use to get out.
type Proxy struct {
	HTTPProxy  string `json:"httpProxy"`
	HTTPSProxy string `json:"httpsProxy"`
	NoProxy    string `json:"noProxy"`
	FTPProxy   string `json:"ftpProxy"`
	AllProxy   string `json:"allProxy"`
}

// Env looks up ENGINE_name, then DOCKER_name.
func Env(name string) string {
	if v := os.Getenv("ENGINE_" + name); v != "" {
		return v
	}
	return os.Getenv("DOCKER_" + name)
}

// Dir is where the configuration lies when no flag says otherwise.
func Dir() string {
	if dir := Env("CONFIG"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/"
	}
	return filepath.Join(home, ".docker")
}

// Load reads dir's config.json. A missing file is an empty one; with an error
// the returned File is empty and usable.
func Load(dir string) (*File, error) {
	name := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{}, nil
	}
	if err != nil {
		return &File{}, err
	}
	f := &File{}
	if err := json.Unmarshal(data, f); err != nil {
		return &File{}, fmt.Errorf("parsing config file (%s): %w", name, err)
	}
	return f, nil
}

// AddProxies returns env, a list of NAME=VALUE or NAME, followed by the proxy
// variables configured for the daemon at host, in upper and lower case; what
// env names already wins. A name given twice keeps its last value.
func (f *File) AddProxies(host string, env []string) []string {
	out := make([]string, 0, len(env))
	place := map[string]int{}
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if i, ok := place[name]; ok {
			out[i] = e
			continue
		}
		place[name] = len(out)
		out = append(out, e)
	}
	p, ok := f.Proxies[host]
	if !ok {
		p = f.Proxies["default"]
	}
	for _, v := range []struct{ name, value string }{
		{"HTTP_PROXY", p.HTTPProxy}, {"HTTPS_PROXY", p.HTTPSProxy}, {"NO_PROXY", p.NoProxy},
		{"FTP_PROXY", p.FTPProxy}, {"ALL_PROXY", p.AllProxy},
	} {
		for _, name := range []string{v.name, strings.ToLower(v.name)} {
			if _, given := place[name]; v.value != "" && !given {
				out = append(out, name+"="+v.value)
			}
		}
	}
	return out
}
