package containers

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/jobengine/engine/graphdriver"
)

// sweepExecRoot takes away what starts that were cut off have left in the exec
// root: folders of containers that the runtime did not have. It may still be
// busy with a process that the daemon before us asked for, so it is told to delete
// each: that waits for what is in flight, and without its bundle nothing begins later.
func (c *Containers) sweepExecRoot(ctx context.Context, live map[string]bool) {
	root := filepath.Join(c.cfg.ExecRoot, "containers")
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.Warnf("look for what starts have left in %s: %v", root, err)
	}
	for _, e := range entries {
		if live[e.Name()] {
			continue
		}
		err := c.runtime.Delete(ctx, e.Name())
		if err == nil {
			err = os.RemoveAll(filepath.Join(root, e.Name()))
		}
		if err != nil {
			c.log.Warnf("container %s: what a start has left in %s: %v", e.Name(), root, err)
		}
	}
}

// sweepLayers takes away layers that no container owns: those of the graph driver
// that are neither an image's nor in the index. A create whose folder a power cut
// took back, while the layer's was written already, leaves one.
func (c *Containers) sweepLayers(ctx context.Context) {
	for _, id := range c.unownedLayers(ctx) {
		c.log.Infof("layer %s belongs to no container: removing it", id)
		if err := c.graph.Remove(ctx, id); err != nil {
			c.log.Errorf("layer %s belongs to no container and can't be removed: %v", id, err)
		}
	}
}

// unownedLayers lists the layers that were made for containers which are not there.
func (c *Containers) unownedLayers(ctx context.Context) []string {
	lister, ok := c.graph.(graphdriver.Lister)
	if !ok {
		return nil
	}
	ids, err := lister.List(ctx)
	if err != nil {
		c.log.Warnf("look for layers that nobody owns: %v", err)
	}
	return slices.DeleteFunc(ids, func(id string) bool { return !isID(id) || c.index.knows(id) })
}

// isID tells a container's id from the names of images' layers.
func isID(id string) bool {
	_, err := hex.DecodeString(id)
	return err == nil && len(id) == 64
}

// knows tells whether a container of that id is there or being made.
func (x *index) knows(id string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, there := x.byID[id]
	_, made := x.making[id]
	return there || made
}
