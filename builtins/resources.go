package builtins

import (
	"context"
	"iter"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	crun "github.com/jobengine/engine/containers/runtime"
	"github.com/jobengine/engine/internal/usage"
)

func (r runtime) Update(ctx context.Context, id string, limits *specs.LinuxResources) error {
	return translated(r.sup.Update(ctx, id, limits))
}

func (r runtime) Stats(ctx context.Context, id string) (usage.Usage, error) {
	u, err := r.sup.Stats(ctx, id)
	return u, translated(err)
}

func (r runtime) OOMs() iter.Seq[crun.OOM] {
	return func(yield func(crun.OOM) bool) {
		for o := range r.sup.OOMs() {
			if !yield(crun.OOM(o)) {
				return
			}
		}
	}
}
