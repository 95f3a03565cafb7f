package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// lastGasp is how long cancelled jobs may take to notice.
const lastGasp = 2 * time.Second

type cleanup struct {
	name string
	run  func(context.Context) error
}

// OnShutdown adds something to do when no job runs any more. Cleanups run in
// the reverse order of their adding; an error does not stop the others.
func (eng *Engine) OnShutdown(name string, run func(context.Context) error) {
	eng.mu.Lock()
	defer eng.mu.Unlock()
	eng.cleanups = append(eng.cleanups, cleanup{name, run})
}

// Shutdown refuses new jobs, cancels the endless ones, waits for the others
// until ctx ends, cancels those too, and then runs the cleanups with a context
// that is not cancelled. Later callers wait for the first and get its result.
func (eng *Engine) Shutdown(ctx context.Context) error {
	eng.stopOnce.Do(func() { eng.stopErr = eng.shutdown(ctx) })
	return eng.stopErr
}

func (eng *Engine) shutdown(ctx context.Context) error {
	idle := make(chan struct{})
	eng.mu.Lock()
	eng.stopping = true
	for _, job := range eng.running {
		if job.endless {
			job.cancel()
		}
	}
	if eng.awaited() == 0 {
		close(idle)
	} else {
		eng.idle = idle
	}
	eng.mu.Unlock()

	select {
	case <-idle:
	case <-ctx.Done():
		eng.cancelAll()
		select {
		case <-idle:
		case <-time.After(lastGasp):
		}
	}

	eng.mu.Lock()
	cleanups := eng.cleanups
	eng.cleanups = nil
	eng.mu.Unlock()
	var errs []error
	for i := len(cleanups) - 1; i >= 0; i-- {
		if err := cleanups[i].run(context.WithoutCancel(ctx)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", cleanups[i].name, err))
		}
	}
	return errors.Join(errs...)
}

// Stopping tells whether Shutdown has begun.
func (eng *Engine) Stopping() bool {
	eng.mu.RLock()
	defer eng.mu.RUnlock()
	return eng.stopping
}

// awaited counts the jobs that Shutdown waits for. The caller holds the lock.
func (eng *Engine) awaited() int {
	n := 0
	for _, job := range eng.running {
		if !job.endless {
			n++
		}
	}
	return n
}

func (eng *Engine) cancelAll() {
	eng.mu.RLock()
	defer eng.mu.RUnlock()
	for _, job := range eng.running {
		job.cancel()
	}
}
