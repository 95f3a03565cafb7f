package builtins

import (
	"crypto/rand"
	"errors"
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

// identify reads the identity of the data root, or makes one.
func identify(root string) (identity, error) {
	path := filepath.Join(root, "engine.json")
	var id identity
	err := durable.ReadJSON(durable.OS, path, &id)
	if err == nil {
		return id, nil
	}
	// A damaged identity is replaced: nothing that matters hangs on it.
	id = identity{Format: 1, ID: rand.Text(), Created: time.Now().UTC()}
	err = durable.WriteJSON(durable.OS, path, id, 0o600)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EDQUOT) {
		err = nil // a full or read-only data root is served as far as it goes
	}
	return id, err
}
