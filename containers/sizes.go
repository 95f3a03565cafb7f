package containers

import "context"

// size is how much the files of a container take, in bytes.
type size struct {
	Rw     int64 // what it has written itself
	RootFs int64 // with its image
}

func (c *Containers) sizes(ctx context.Context, s *Snapshot) (size, error) {
	rw, err := c.graph.DiffSize(ctx, s.ID)
	if err != nil {
		return size{}, err
	}
	total := rw
	if img, err := c.images.Lookup(ctx, s.ImageID, ""); err == nil {
		total += img.SizeBytes
	}
	return size{Rw: rw, RootFs: total}, nil
}
