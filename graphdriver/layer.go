package graphdriver

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/jobengine/engine/internal/errs"
)

// ValidID tells whether id may name a layer: it is also a file name.
func ValidID(id string) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	for _, c := range []byte(id) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// CheckID is ValidID as an error.
func CheckID(id string) error {
	if !ValidID(id) {
		return errs.Invalid("invalid layer id %q: letters, digits, '-' and '_', at most 128", id)
	}
	return nil
}

// FoldersOfLayers lists the ids of layers that have a folder each in home.
func FoldersOfLayers(home string) ([]string, error) {
	entries, err := os.ReadDir(home)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && ValidID(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// CheckOptions refuses keys of opts that are not in known, and names them.
func CheckOptions(driver string, opts map[string]string, known ...string) error {
	var unknown []string
	for _, k := range slices.Sorted(maps.Keys(opts)) {
		if !slices.Contains(known, k) {
			unknown = append(unknown, k)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return errs.Invalid("%s: unknown storage option: %s", driver, strings.Join(unknown, ", "))
}

// Sync makes a layer durable where the driver knows how. Call it once the layer
// is filled and before anybody is told that it exists.
func Sync(ctx context.Context, d ProtoDriver, id string) error {
	s, ok := d.(Syncer)
	if !ok {
		return nil
	}
	if err := s.Sync(ctx, id); err != nil {
		return fmt.Errorf("sync layer %s: %w", id, err)
	}
	return nil
}

// CapabilitiesOf gives what d declares, or nothing.
func CapabilitiesOf(d ProtoDriver) Capabilities {
	if c, ok := d.(Capable); ok {
		return c.Capabilities()
	}
	return Capabilities{}
}
