package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/jobengine/engine/engine"
)

// Greet is the contract of our job.
var Greet = engine.Define[GreetIn, GreetOut]("greet")

// GreetIn names who is greeted.
type GreetIn struct {
	Name string `job:"arg"`
	Loud bool
}

// GreetOut has the greeting.
type GreetOut struct{ Text string }

func greet(_ context.Context, _ *engine.Job, in GreetIn) (GreetOut, error) {
	if in.Name == "" {
		return GreetOut{}, fmt.Errorf("greet: nobody to greet: %w", errdefs.ErrInvalidArgument)
	}
	text := "Hello, " + in.Name + "!"
	if in.Loud {
		text = strings.ToUpper(text)
	}
	return GreetOut{text}, nil
}
