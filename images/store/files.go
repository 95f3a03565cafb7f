package store

import (
	"bufio"
	"context"
	"io"

	"github.com/jobengine/engine/graphdriver"
)

// files gives a folder with the files of a layer, until release is called: the
// layer's own where the driver keeps them apart, else those below it, too.
func (s *Store) files(ctx context.Context, graphID string) (dir string, release func() error, err error) {
	if own, ok := s.Graph.(graphdriver.OwnFiles); ok {
		dir, err = own.OwnFiles(ctx, graphID)
		return dir, func() error { return nil }, err
	}
	dir, err = s.Graph.Get(ctx, graphID)
	return dir, func() error { return s.Graph.Put(context.WithoutCancel(ctx), graphID) }, err
}

func newWriter(w io.Writer) *bufio.Writer { return bufio.NewWriterSize(w, tarBuffer) }
