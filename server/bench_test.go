package server

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// What the way through the server costs a request, the job left out.
func BenchmarkRequest(b *testing.B) {
	eng := engine.New()
	jobs.Start.Register(eng, func(context.Context, *engine.Job, jobs.StartIn) (jobs.StartOut, error) { return jobs.StartOut{}, nil })
	rows := make([]container.Summary, 200)
	jobs.Containers.Register(eng, func(context.Context, *engine.Job, jobs.ContainersIn) (jobs.ContainersOut, error) {
		return jobs.ContainersOut{Containers: append([]container.Summary(nil), rows...)}, nil
	})
	srv := New(eng, Options{Log: quietLog()})
	for name, target := range map[string][2]string{
		"start":           {"POST", "/v1.41/containers/web/start"},
		"unknown":         {"POST", "/v1.41/nosuch"},
		"200-rows-before": {"GET", "/v1.41/containers/json"},
		"200-rows-newest": {"GET", "/containers/json"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				srv.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(target[0], target[1], nil))
			}
		})
	}
}
