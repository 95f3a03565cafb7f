package builtins

import (
	"github.com/jobengine/engine/images/registry"
	"github.com/jobengine/engine/internal/version"
)

// Registries is what concerns registries.
type Registries struct {
	Insecure []string            // HOST[:PORT] or CIDR
	Mirrors  map[string][]string // URLs by registry

	Downloads, Uploads int // at the same time
	Attempts           int // of a download
}

func (r Registries) client() (*registry.Client, error) {
	return registry.New(registry.Config{Insecure: r.Insecure, Mirrors: r.Mirrors, UserAgent: "engine/" + version.Version + " (linux)"})
}

// Check tells what is wrong with it.
func (r Registries) Check() error {
	_, err := r.client()
	return err
}
