package builtins

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jobengine/engine/internal/durable"
)

// identity is what a data root is called; it is made once.
type identity struct {
	Format  int
	ID      string
	Created time.Time
}

// identify reads the identity of the data root, or makes one: nothing that matters hangs on it.
func identify(root string, warn func(format string, args ...any)) identity {
	path := filepath.Join(root, "engine.json")
	var id identity
	err := durable.ReadJSON(durable.OS, path, &id)
	if err == nil && id.ID != "" { // of a newer format too: what is known of it is enough
		return id
	}
	if !errors.Is(err, fs.ErrNotExist) {
		warn("%s, the identity of the data root, is damaged: %v; it gets a new one", path, err)
	}
	id = identity{Format: 1, ID: rand.Text(), Created: time.Now().UTC()}
	err = durable.WriteJSON(durable.OS, path, id, 0o600)
	if errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.ENOTEMPTY) {
		if err = durable.RemoveTree(durable.OS, path); err == nil {
			err = durable.WriteJSON(durable.OS, path, id, 0o600)
		}
	}
	if err != nil { // a full or read-only data root is served as far as it goes
		warn("%s, the identity of the data root, lasts until the next start only: %v", path, err)
	}
	return id
}
