package engine

import (
	"context"
	"fmt"
	"reflect"
)

// definition is what all definitions have in common, whatever their types.
type definition struct {
	name    string
	in      reflect.Type
	endless bool
	quiet   bool
}

// Option says something about a definition that holds for every run of it.
type Option func(*definition)

// Endless marks a job that has no end of its own, such as serveapi or a
// followed log. At shutdown it is cancelled first and not waited for.
func Endless(d *definition) { d.endless = true }

// Quiet marks a job that clients poll: its log lines have the level debug.
func Quiet(d *definition) { d.quiet = true }

// Definition is the contract of a job: its name and the types of its input and result.
type Definition[In, Out any] struct{ *definition }

// Define makes a definition. It registers nothing.
func Define[In, Out any](name string, opts ...Option) Definition[In, Out] {
	return Definition[In, Out]{newDefinition[In](name, opts)}
}

// Name is the name under which the job is registered.
func (d Definition[In, Out]) Name() string { return d.name }

// Func is the handler of a job.
type Func[In, Out any] func(ctx context.Context, job *Job, in In) (Out, error)

// Register makes f the handler of the job. It panics if there is one already.
func (d Definition[In, Out]) Register(eng *Engine, f Func[In, Out]) {
	eng.register(d.definition, untyped(f))
}

// Replace puts f in the place of the registered handler. It panics if there is none.
func (d Definition[In, Out]) Replace(eng *Engine, f Func[In, Out]) {
	eng.change(d.name, func(Handler) Handler { return untyped(f) })
}

// Wrap puts a handler around the registered one. It panics if there is none.
func (d Definition[In, Out]) Wrap(eng *Engine, wrap func(next Func[In, Out]) Func[In, Out]) {
	eng.change(d.name, func(old Handler) Handler { return untyped(wrap(typed[In, Out](old))) })
}

// Run runs the job and returns its result. An unregistered job is errdefs.ErrNotImplemented.
func (d Definition[In, Out]) Run(ctx context.Context, eng *Engine, in In, opts ...RunOption) (Out, error) {
	out, err := eng.run(ctx, d.name, in, nil, opts)
	return as[Out](out), err
}

// StreamDefinition is the contract of a job that answers twice: Open when it
// has accepted the request and its streams begin, Out when it has ended.
type StreamDefinition[In, Open, Out any] struct{ *definition }

// DefineStream makes the definition of a streaming job. It registers nothing.
func DefineStream[In, Open, Out any](name string, opts ...Option) StreamDefinition[In, Open, Out] {
	return StreamDefinition[In, Open, Out]{newDefinition[In](name, opts)}
}

// Name is the name under which the job is registered.
func (d StreamDefinition[In, Open, Out]) Name() string { return d.name }

// StreamFunc is the handler of a streaming job. It calls job.Open once, when
// it has accepted the request; before that it writes nothing, and an error is
// the whole answer.
type StreamFunc[In, Open, Out any] func(ctx context.Context, job *StreamJob[Open], in In) (Out, error)

// StreamJob is a Job whose handler says when its streams begin.
type StreamJob[Open any] struct{ *Job }

// Open tells the caller that the request is accepted and what to expect of the
// streams. The caller may answer with the streams to use from now on. An
// error means that the caller is gone.
func (j *StreamJob[Open]) Open(o Open) error {
	if j.opened {
		return fmt.Errorf("job %s: opened twice", j.Name)
	}
	j.opened = true
	if j.open == nil {
		return nil
	}
	s, err := j.open(o)
	if err != nil {
		return err
	}
	j.Streams = j.Streams.replacedBy(s)
	return nil
}

// Opener is how the caller of a streaming job learns that the request is
// accepted. Streams that it returns replace those of the job; nil ones do not.
type Opener[Open any] func(o Open) (Streams, error)

// Register makes f the handler of the job. It panics if there is one already.
func (d StreamDefinition[In, Open, Out]) Register(eng *Engine, f StreamFunc[In, Open, Out]) {
	eng.register(d.definition, untypedStream(f))
}

// Replace puts f in the place of the registered handler. It panics if there is none.
func (d StreamDefinition[In, Open, Out]) Replace(eng *Engine, f StreamFunc[In, Open, Out]) {
	eng.change(d.name, func(Handler) Handler { return untypedStream(f) })
}

// Wrap puts a handler around the registered one. It panics if there is none.
func (d StreamDefinition[In, Open, Out]) Wrap(eng *Engine, wrap func(next StreamFunc[In, Open, Out]) StreamFunc[In, Open, Out]) {
	eng.change(d.name, func(old Handler) Handler {
		next := func(ctx context.Context, job *StreamJob[Open], in In) (Out, error) {
			out, err := old(ctx, job.Job, in)
			return as[Out](out), err
		}
		return untypedStream(wrap(next))
	})
}

// Run runs the job. open is called when the job has accepted the request; nil
// for a caller who does not care. An error that comes back after open was
// called belongs into the stream.
func (d StreamDefinition[In, Open, Out]) Run(ctx context.Context, eng *Engine, in In, open Opener[Open], opts ...RunOption) (Out, error) {
	var untypedOpen func(any) (Streams, error)
	if open != nil {
		untypedOpen = func(o any) (Streams, error) { return open(as[Open](o)) }
	}
	out, err := eng.run(ctx, d.name, in, untypedOpen, opts)
	return as[Out](out), err
}

func newDefinition[In any](name string, opts []Option) *definition {
	d := &definition{name: name, in: reflect.TypeFor[In]()}
	for _, opt := range opts {
		opt(d)
	}
	return d
}

func untyped[In, Out any](f Func[In, Out]) Handler {
	return func(ctx context.Context, job *Job, in any) (any, error) { return f(ctx, job, as[In](in)) }
}

func typed[In, Out any](h Handler) Func[In, Out] {
	return func(ctx context.Context, job *Job, in In) (Out, error) {
		out, err := h(ctx, job, in)
		return as[Out](out), err
	}
}

func untypedStream[In, Open, Out any](f StreamFunc[In, Open, Out]) Handler {
	return func(ctx context.Context, job *Job, in any) (any, error) {
		return f(ctx, &StreamJob[Open]{job}, as[In](in))
	}
}

// as turns the untyped result of a handler back; a middleware that gives up
// early may return nil.
func as[T any](v any) T {
	t, _ := v.(T)
	return t
}
