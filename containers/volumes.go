package containers

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/containers/request"
	"github.com/jobengine/engine/internal/archive"
	"github.com/jobengine/engine/internal/errs"
)

// Until there are volumes, a VOLUME of the image is a folder of the container's own.

// planVolumes gives each VOLUME of the image that nothing else is mounted on a folder.
func (c *Containers) planVolumes(id string, cfg *container.Config, points []container.MountPoint) ([]container.MountPoint, error) {
	var volumes []container.MountPoint
	for _, target := range slices.Sorted(maps.Keys(cfg.Volumes)) {
		clean := path.Clean("/" + target)
		if err := request.CheckTarget(clean); err != nil {
			return nil, errs.Invalid("the image has an unusable VOLUME: %v", err)
		}
		same := func(p container.MountPoint) bool { return p.Destination == clean }
		if slices.ContainsFunc(points, same) || slices.ContainsFunc(volumes, same) {
			continue
		}
		name := newID()
		volumes = append(volumes, container.MountPoint{
			Type: mount.TypeVolume, Name: name, Source: c.path(id, "volumes", name, "_data"),
			Destination: clean, Driver: "local", RW: true,
		})
	}
	return volumes, nil
}

// fillVolumes makes the folders and copies into each what the image has at its place.
func (c *Containers) fillVolumes(ctx context.Context, s *Snapshot) (err error) {
	var volumes []container.MountPoint
	for _, m := range s.Mounts {
		if m.Type == mount.TypeVolume {
			volumes = append(volumes, m)
		}
	}
	if len(volumes) == 0 {
		return nil
	}
	root, err := c.graph.Get(ctx, s.ID)
	if err != nil {
		return err
	}
	defer func() {
		if e := c.graph.Put(context.WithoutCancel(ctx), s.ID); err == nil {
			err = e
		}
	}()
	for _, m := range volumes {
		if err := os.MkdirAll(path.Dir(m.Source), 0o710); err != nil {
			return err
		}
		if err := os.Mkdir(m.Source, 0o755); err != nil {
			return err
		}
		if err := copyUp(ctx, root, m.Destination, m.Source); err != nil {
			return fmt.Errorf("volume %s: %w", m.Destination, err)
		}
	}
	return nil
}

// copyUp copies what an image has at target. The image may have put a link
// there or on the way: it is followed as the container would, within root.
func copyUp(ctx context.Context, root, target, dst string) error {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: root, Err: err}
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, target, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil // nothing there, or no folder
	}
	defer unix.Close(fd)
	return archive.CopyTree(ctx, dst, fmt.Sprintf("/proc/self/fd/%d/.", fd))
}
