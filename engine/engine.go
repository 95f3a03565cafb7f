package engine

import (
	"context"
	"fmt"
	"sort"
	"sync"

	"github.com/containerd/errdefs"
)

// Handler is a registered job in its untyped form, as middleware sees it: in
// is the definition's In, the result its Out.
type Handler func(ctx context.Context, job *Job, in any) (out any, err error)

// Middleware wraps the handler of every job. It is called once for each run.
type Middleware func(next Handler) Handler

// Engine runs registered jobs. The zero value is not usable: see New.
type Engine struct {
	mu         sync.RWMutex
	entries    map[string]*entry
	middleware []namedMiddleware
	running    map[uint64]*Job
	lastID     uint64
	stopping   bool
	idle       chan struct{} // made by Shutdown, closed when the last awaited job ends
	cleanups   []cleanup
	stopOnce   sync.Once
	stopErr    error
}

// entry is a registered job: what the dynamic door must know of its definition, and its handler.
type entry struct {
	def     *definition
	handler Handler
}

type namedMiddleware struct {
	name string
	wrap Middleware
}

// New makes an engine that knows the jobs of the kernel itself: commands,
// job_list and job_cancel.
func New() *Engine {
	eng := &Engine{
		entries: make(map[string]*entry),
		running: make(map[uint64]*Job),
	}
	installKernelJobs(eng)
	return eng
}

// Use adds a middleware around all jobs; the first one added is the outermost.
// It panics if the name is taken.
func (eng *Engine) Use(name string, m Middleware) {
	eng.mu.Lock()
	defer eng.mu.Unlock()
	for _, have := range eng.middleware {
		if have.name == name {
			panic("engine: middleware " + name + " is there already")
		}
	}
	eng.middleware = append(eng.middleware, namedMiddleware{name, m})
}

// Names lists all registered jobs, sorted.
func (eng *Engine) Names() []string {
	eng.mu.RLock()
	defer eng.mu.RUnlock()
	names := make([]string, 0, len(eng.entries))
	for name := range eng.entries {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Has tells whether a job of that name is registered.
func (eng *Engine) Has(name string) bool {
	_, err := eng.lookup(name)
	return err == nil
}

func (eng *Engine) register(def *definition, h Handler) {
	eng.mu.Lock()
	defer eng.mu.Unlock()
	if _, ok := eng.entries[def.name]; ok {
		panic("engine: job " + def.name + " is registered twice; use Replace or Wrap")
	}
	eng.entries[def.name] = &entry{def, h}
}

// change swaps the handler of a registered job; it panics if there is none.
func (eng *Engine) change(name string, f func(old Handler) Handler) {
	eng.mu.Lock()
	defer eng.mu.Unlock()
	e, ok := eng.entries[name]
	if !ok {
		panic("engine: there is no job " + name + " to replace or wrap")
	}
	eng.entries[name] = &entry{e.def, f(e.handler)}
}

func (eng *Engine) lookup(name string) (*entry, error) {
	eng.mu.RLock()
	defer eng.mu.RUnlock()
	e, ok := eng.entries[name]
	if !ok {
		return nil, classed{fmt.Errorf("%s: no such job", name), errdefs.ErrNotImplemented}
	}
	return e, nil
}

// classed gives a sentence one of errdefs' classes without printing the class.
type classed struct {
	error
	class error
}

func (c classed) Unwrap() []error { return []error{c.error, c.class} }

func invalid(format string, args ...any) error {
	return classed{fmt.Errorf(format, args...), errdefs.ErrInvalidArgument}
}

func errPanicked(job *Job) error {
	return classed{fmt.Errorf("job %s failed by a fault of the engine's own: see the daemon's log", job.Name), errdefs.ErrInternal}
}
