package containers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jobengine/engine/graphdriver"
)

// The tree of a container without a user namespace is where the graph driver
// shows it. One with a user namespace has its tree below the exec root: its root
// must be able to get there, and must never get near the data root, where the files of
// layers belong to the host's users.

// mappedDir is where a container with a user namespace has its tree.
func (c *Containers) mappedDir(id string) string { return filepath.Join(c.cfg.ExecRoot, "roots", id) }

// idsFor gives the ids that a container is started with: none of its own
// without a user namespace.
func (c *Containers) idsFor(s *Snapshot) graphdriver.IDMap {
	if s.HostConfig.UsernsMode.IsHost() {
		return graphdriver.IDMap{}
	}
	return c.cfg.Remap
}

// getRootfs shows a container's tree, to start in it with these ids or because it
// runs in it, whatever ids it has: putRootfs takes that away.
func (c *Containers) getRootfs(ctx context.Context, id string, ids graphdriver.IDMap) (dir string, err error) {
	dir = c.mappedDir(id)
	if _, err := os.Lstat(dir); os.IsNotExist(err) {
		if ids.IsZero() {
			return c.graph.Get(ctx, id)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	r, err := c.remapper()
	if err == nil {
		err = r.GetRemapped(ctx, id, dir, ids)
	}
	if err != nil {
		_ = os.Remove(dir) // stays if something is mounted
		return "", err
	}
	return dir, nil
}

// putRootfs gives back what getRootfs has shown, in this life or a former one.
func (c *Containers) putRootfs(ctx context.Context, id string) error {
	if c.isMapped(id) {
		return c.unmap(ctx, id)
	}
	return c.graph.Put(ctx, id)
}

// removeLayer removes a container's layer, whatever is left in use of it.
func (c *Containers) removeLayer(ctx context.Context, id string) error {
	if c.isMapped(id) {
		if err := c.unmap(ctx, id); err != nil {
			return err
		}
	}
	return c.graph.Remove(ctx, id)
}

func (c *Containers) isMapped(id string) bool {
	_, err := os.Lstat(c.mappedDir(id))
	return err == nil
}

func (c *Containers) unmap(ctx context.Context, id string) error {
	r, err := c.remapper()
	if err != nil {
		return err
	}
	if err := r.PutRemapped(ctx, id, c.mappedDir(id)); err != nil {
		return err
	}
	return os.Remove(c.mappedDir(id))
}

func (c *Containers) remapper() (graphdriver.Remapper, error) {
	r, ok := c.graph.(graphdriver.Remapper)
	if !ok {
		return nil, fmt.Errorf("graph driver %s: %w", c.cfg.GraphDriver, graphdriver.ErrNoRemap)
	}
	return r, nil
}
