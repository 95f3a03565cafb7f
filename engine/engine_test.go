package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"
	is "gotest.tools/v3/assert/cmp"

	"github.com/jobengine/engine/engine"
)

type greetIn struct {
	Name  string `job:"arg"`
	Times int    `job:"arg"`
	Loud  bool
	Words []string
	Limit *int
}

type greetOut struct{ Text string }

var greet = engine.Define[greetIn, greetOut]("greet")

func greeter(_ context.Context, _ *engine.Job, in greetIn) (greetOut, error) {
	text := strings.Repeat("hi "+in.Name+" ", max(in.Times, 1)) + strings.Join(in.Words, "+")
	if in.Loud {
		text = strings.ToUpper(text)
	}
	return greetOut{strings.TrimSpace(text)}, nil
}

func TestADefinitionRunsItsHandler(t *testing.T) {
	eng := engine.New()
	greet.Register(eng, greeter)
	out, err := greet.Run(t.Context(), eng, greetIn{Name: "web"})
	assert.NilError(t, err)
	assert.Equal(t, out.Text, "hi web")
}

func TestAnUnregisteredJobIsNotImplemented(t *testing.T) {
	_, err := greet.Run(t.Context(), engine.New(), greetIn{})
	assert.Check(t, errdefs.IsNotImplemented(err), "%v", err)
	assert.Error(t, err, "greet: no such job")
}

func TestRegisteringTwicePanicsAndReplaceDoesNot(t *testing.T) {
	eng := engine.New()
	greet.Register(eng, greeter)
	assert.Check(t, is.Panics(func() { greet.Register(eng, greeter) }))
	greet.Replace(eng, func(context.Context, *engine.Job, greetIn) (greetOut, error) {
		return greetOut{"replaced"}, nil
	})
	greet.Wrap(eng, func(next engine.Func[greetIn, greetOut]) engine.Func[greetIn, greetOut] {
		return func(ctx context.Context, job *engine.Job, in greetIn) (greetOut, error) {
			out, err := next(ctx, job, in)
			return greetOut{"<" + out.Text + ">"}, err
		}
	})
	out, err := greet.Run(t.Context(), eng, greetIn{})
	assert.NilError(t, err)
	assert.Equal(t, out.Text, "<replaced>")
	assert.Check(t, is.Panics(func() { greet.Replace(engine.New(), greeter) }))
}

func TestTheDynamicDoorBindsArgumentsAndEnvironment(t *testing.T) {
	eng := engine.New()
	greet.Register(eng, greeter)
	job := eng.Job("greet", "web", "2")
	job.Setenv("Loud", "true")
	job.Setenv("Words", `["a","b"]`)
	job.Setenv("Limit", "3")
	assert.NilError(t, job.Run(t.Context()))
	result, err := job.Result()
	assert.NilError(t, err)
	assert.Equal(t, string(result), `{"Text":"HI WEB HI WEB A+B"}`)
}

func TestTheDynamicDoorRefusesWhatDoesNotFit(t *testing.T) {
	eng := engine.New()
	greet.Register(eng, greeter)
	for name, job := range map[string]*engine.DynamicJob{
		"a bad number":       eng.Job("greet", "web", "two"),
		"too many arguments": eng.Job("greet", "web", "2", "x"),
		"an unknown key":     env(eng.Job("greet"), "Lowd", "true"),
		"a bad boolean":      env(eng.Job("greet"), "Loud", "maybe"),
		"a bad list":         env(eng.Job("greet"), "Words", `[1`),
	} {
		err := job.Run(t.Context())
		assert.Check(t, errdefs.IsInvalidArgument(err), "%s: %v", name, err)
	}
	_, err := eng.Call(t.Context(), "greet", json.RawMessage(`{"Nome":"x"}`))
	assert.Check(t, errdefs.IsInvalidArgument(err), "%v", err)
	_, err = eng.Call(t.Context(), "greet", json.RawMessage(`{} {}`))
	assert.Check(t, errdefs.IsInvalidArgument(err), "%v", err)
}

func env(job *engine.DynamicJob, key, value string) *engine.DynamicJob {
	job.Setenv(key, value)
	return job
}

func TestCallTakesAndGivesJSON(t *testing.T) {
	eng := engine.New()
	greet.Register(eng, greeter)
	out, err := eng.Call(t.Context(), "greet", json.RawMessage(`{"Name":"<web>"}`))
	assert.NilError(t, err)
	assert.Equal(t, string(out), `{"Text":"hi <web>"}`)
	out, err = eng.Call(t.Context(), "commands", nil)
	assert.NilError(t, err)
	assert.Equal(t, string(out), `{"Names":["commands","greet","job_cancel","job_list"]}`)
}

type tailOpen struct{ Tty bool }

var tail = engine.DefineStream[greetIn, tailOpen, greetOut]("tail", engine.Endless)

func TestAStreamingJobOpensOnceAndThenUsesTheCallersStreams(t *testing.T) {
	eng := engine.New()
	tail.Register(eng, func(_ context.Context, job *engine.StreamJob[tailOpen], in greetIn) (greetOut, error) {
		if in.Name == "" {
			return greetOut{}, errors.New("refused")
		}
		if err := job.Open(tailOpen{Tty: true}); err != nil {
			return greetOut{}, err
		}
		assert.ErrorContains(t, job.Open(tailOpen{}), "twice")
		_, err := io.WriteString(job.Stdout, "line of "+in.Name)
		return greetOut{"done"}, err
	})
	var got strings.Builder
	opened := 0
	open := func(o tailOpen) (engine.Streams, error) {
		opened++
		assert.Check(t, o.Tty)
		return engine.Streams{Stdout: &got}, nil
	}
	out, err := tail.Run(t.Context(), eng, greetIn{Name: "web"}, open)
	assert.NilError(t, err)
	assert.Equal(t, out.Text, "done")
	assert.Equal(t, got.String(), "line of web")
	assert.Equal(t, opened, 1)

	_, err = tail.Run(t.Context(), eng, greetIn{}, open)
	assert.Error(t, err, "refused")
	assert.Equal(t, opened, 1, "a refused request must not be opened")
}

func TestRunningJobsAreListedAndCanBeCancelled(t *testing.T) {
	eng := engine.New()
	started := make(chan uint64)
	tail.Register(eng, func(ctx context.Context, job *engine.StreamJob[tailOpen], _ greetIn) (greetOut, error) {
		started <- job.ID
		<-ctx.Done()
		return greetOut{}, ctx.Err()
	})
	ended := make(chan error)
	go func() {
		_, err := tail.Run(context.Background(), eng, greetIn{Name: "web", Times: 3}, nil, engine.Caller("test"))
		ended <- err
	}()
	id := <-started
	rows := eng.Running()
	assert.Equal(t, len(rows), 1)
	assert.Equal(t, rows[0].Job, "tail(web, 3)")
	assert.Equal(t, rows[0].Caller, "test")
	assert.NilError(t, eng.Cancel(id))
	assert.ErrorIs(t, <-ended, context.Canceled)
	assert.Equal(t, len(eng.Running()), 0)
	assert.Check(t, errdefs.IsNotFound(eng.Cancel(id)))
}

func TestMiddlewareWrapsEveryJobInOrder(t *testing.T) {
	eng := engine.New()
	greet.Register(eng, greeter)
	var seen []string
	layer := func(name string) engine.Middleware {
		return func(next engine.Handler) engine.Handler {
			return func(ctx context.Context, job *engine.Job, in any) (any, error) {
				seen = append(seen, name+" "+job.Name)
				return next(ctx, job, in)
			}
		}
	}
	eng.Use("outer", layer("outer"))
	eng.Use("inner", layer("inner"))
	assert.Check(t, is.Panics(func() { eng.Use("inner", layer("x")) }))
	_, err := greet.Run(t.Context(), eng, greetIn{})
	assert.NilError(t, err)
	assert.DeepEqual(t, seen, []string{"outer greet", "inner greet"})
}

func TestAPanicBecomesAnInternalError(t *testing.T) {
	eng := engine.New()
	var thrown any
	eng.Use("recover", engine.RecoverJobs(func(_ *engine.Job, v any) { thrown = v }))
	greet.Register(eng, func(context.Context, *engine.Job, greetIn) (greetOut, error) { panic("oops") })
	_, err := greet.Run(t.Context(), eng, greetIn{})
	assert.Check(t, errdefs.IsInternal(err), "%v", err)
	assert.Equal(t, thrown, "oops")
	assert.Equal(t, len(eng.Running()), 0)
}

func TestShutdownWaitsForJobsCancelsEndlessOnesAndCleansUpBackwards(t *testing.T) {
	eng := engine.New()
	begun := make(chan struct{}, 2)
	finish := make(chan struct{})
	greet.Register(eng, func(ctx context.Context, _ *engine.Job, _ greetIn) (greetOut, error) {
		begun <- struct{}{}
		<-finish
		return greetOut{}, ctx.Err()
	})
	tail.Register(eng, func(ctx context.Context, _ *engine.StreamJob[tailOpen], _ greetIn) (greetOut, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return greetOut{}, nil
	})
	ends := make(chan error, 2)
	go func() { _, err := greet.Run(context.Background(), eng, greetIn{}); ends <- err }()
	go func() { _, err := tail.Run(context.Background(), eng, greetIn{}, nil); ends <- err }()
	<-begun
	<-begun

	var order []string
	eng.OnShutdown("first", func(context.Context) error { order = append(order, "first"); return nil })
	eng.OnShutdown("second", func(context.Context) error { order = append(order, "second"); return errors.New("oh") })
	down := make(chan error)
	go func() { down <- eng.Shutdown(context.Background()) }()
	assert.NilError(t, <-ends, "the endless job ends first")
	_, err := greet.Run(t.Context(), eng, greetIn{})
	assert.Check(t, errdefs.IsUnavailable(err), "%v", err)
	close(finish)
	assert.NilError(t, <-ends, "a job in flight ends by itself")
	assert.Error(t, <-down, "second: oh")
	assert.DeepEqual(t, order, []string{"second", "first"})
	assert.Error(t, eng.Shutdown(context.Background()), "second: oh")
}

func TestShutdownCancelsWhatDoesNotEndInTime(t *testing.T) {
	eng := engine.New()
	begun := make(chan struct{})
	greet.Register(eng, func(ctx context.Context, _ *engine.Job, _ greetIn) (greetOut, error) {
		close(begun)
		<-ctx.Done()
		return greetOut{}, ctx.Err()
	})
	ended := make(chan error)
	go func() { _, err := greet.Run(context.Background(), eng, greetIn{}); ended <- err }()
	<-begun
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	go func() { _ = eng.Shutdown(ctx) }()
	assert.ErrorIs(t, <-ended, context.Canceled)
}

func FuzzTheDynamicDoor(f *testing.F) {
	eng := engine.New()
	greet.Register(eng, greeter)
	f.Add("web", "2", "Loud", "true", `{"Name":"x"}`)
	f.Fuzz(func(t *testing.T, a, b, key, value, input string) {
		job := eng.Job("greet", a, b)
		job.Setenv(key, value)
		if len(b) > 3 {
			return // a greeting repeated a million times proves nothing
		}
		if err := job.Run(context.Background()); err != nil && !errdefs.IsInvalidArgument(err) {
			t.Fatalf("class of %v", err)
		}
		if strings.Contains(input, "Times") {
			return
		}
		if _, err := eng.Call(context.Background(), "greet", json.RawMessage(input)); err != nil && !errdefs.IsInvalidArgument(err) {
			t.Fatalf("class of %v", err)
		}
	})
}
