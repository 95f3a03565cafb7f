package main

import (
	"context"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/native"
)

// announcing is an exec driver that starts containers as native does and tells
// every program in its environment who runs it. It is run by the supervisor:
// since our embedded small one does not know it, the daemon starts this very
// program for that.
type announcing struct{ execdriver.Driver }

func newAnnouncing(o execdriver.Options) (execdriver.Driver, error) {
	d, err := native.New(o)
	if err != nil {
		return nil, err
	}
	return announcing{d}, nil
}

// Create adds a variable to the first process.
func (a announcing) Create(ctx context.Context, id string, b execdriver.Bundle, stdio execdriver.Stdio) (execdriver.Process, error) {
	b.Spec.Process.Env = append(b.Spec.Process.Env, "GREETED_BY=greeter")
	return a.Driver.Create(ctx, id, b, stdio)
}
