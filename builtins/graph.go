package builtins

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jobengine/engine/graphdriver"
)

// openGraph opens the graph driver that was asked for, else the one that has
// layers in this data root already, else the first that works.
func (set *Set) openGraph(cfg Config) (graphdriver.Driver, string, error) {
	if cfg.StorageDriver != "" {
		d, err := set.tryGraph(cfg, cfg.StorageDriver)
		return d, cfg.StorageDriver, err
	}
	for _, name := range set.Graph.Names() {
		if entries, err := os.ReadDir(filepath.Join(cfg.DataRoot, name)); err == nil && len(entries) > 0 {
			d, err := set.tryGraph(cfg, name)
			return d, name, err
		}
	}
	var refused []error
	for _, name := range set.Graph.Names() {
		d, err := set.tryGraph(cfg, name)
		if err == nil {
			return d, name, nil
		}
		if !errors.Is(err, graphdriver.ErrNotSupported) {
			return nil, "", err
		}
		refused = append(refused, err)
	}
	return nil, "", fmt.Errorf("no graph driver works in %s: %w", cfg.DataRoot, errors.Join(refused...))
}

func (set *Set) tryGraph(cfg Config, name string) (graphdriver.Driver, error) {
	open, err := set.Graph.Get(name)
	if err != nil {
		return nil, err
	}
	d, err := open(graphdriver.Options{Home: filepath.Join(cfg.DataRoot, name), Options: cfg.StorageOpts})
	if err != nil {
		return nil, fmt.Errorf("graph driver %s: %w", name, err)
	}
	return d, nil
}
