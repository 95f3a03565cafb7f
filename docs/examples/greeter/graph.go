package main

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/graphdriver/vfs"
)

// counting is a graph driver that keeps layers as vfs does and counts how
// often their trees were asked for; `info` shows it.
type counting struct {
	graphdriver.Driver
	gets atomic.Int64
}

func newCounting(o graphdriver.Options) (graphdriver.Driver, error) {
	d, err := vfs.New(o)
	if err != nil {
		return nil, err
	}
	return &counting{Driver: d}, nil
}

// Get counts.
func (c *counting) Get(ctx context.Context, id string) (string, error) {
	c.gets.Add(1)
	return c.Driver.Get(ctx, id)
}

// Status adds our row.
func (c *counting) Status() [][2]string {
	return append(c.Driver.Status(), [2]string{"Trees asked for", strconv.FormatInt(c.gets.Load(), 10)})
}
