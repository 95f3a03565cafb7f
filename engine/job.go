package engine

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"sort"
	"strings"
	"time"

	"github.com/containerd/errdefs"
)

// Streams are the standard streams of a job. They carry only streams: attached
// output, logs, tars, progress. A nil Stdin is empty, a nil Stdout or Stderr
// swallows what is written.
type Streams struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

func (s Streams) replacedBy(n Streams) Streams {
	if n.Stdin != nil {
		s.Stdin = n.Stdin
	}
	if n.Stdout != nil {
		s.Stdout = n.Stdout
	}
	if n.Stderr != nil {
		s.Stderr = n.Stderr
	}
	return s
}

// Job is one run of a registered job.
type Job struct {
	Engine  *Engine
	ID      uint64
	Name    string
	Caller  string // who asked: "unix", "tcp 10.0.0.7:4711", the name of another job …; "" for the daemon itself
	Started time.Time
	Streams

	in      any
	endless bool
	quiet   bool
	opened  bool
	open    func(any) (Streams, error)
	cancel  context.CancelFunc
}

// Quiet tells that clients poll this job, so that it is logged at the level debug only.
func (j *Job) Quiet() bool { return j.quiet }

// Opened tells whether a streaming job has accepted its request: from then on
// an error can only be told in the stream.
func (j *Job) Opened() bool { return j.opened }

// String is the job as it would have been typed: name(argument, …).
func (j *Job) String() string {
	return j.Name + "(" + strings.Join(positional(j.in), ", ") + ")"
}

// RunOption sets something for one run of a job.
type RunOption func(*Job)

// Stdin, Stdout and Stderr connect the job's streams.
func Stdin(r io.Reader) RunOption  { return func(j *Job) { j.Streams.Stdin = r } }
func Stdout(w io.Writer) RunOption { return func(j *Job) { j.Streams.Stdout = w } }
func Stderr(w io.Writer) RunOption { return func(j *Job) { j.Streams.Stderr = w } }

// Caller tells who asked for the job, for the log and the table of running jobs.
func Caller(who string) RunOption { return func(j *Job) { j.Caller = who } }

// run is the one way in which any job is run.
func (eng *Engine) run(ctx context.Context, name string, in any, open func(any) (Streams, error), opts []RunOption) (any, error) {
	e, err := eng.lookup(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	job := &Job{
		Engine: eng, Name: name, Started: time.Now(), in: in, open: open, cancel: cancel,
		endless: e.def.endless, quiet: e.def.quiet,
		Streams: Streams{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard},
	}
	for _, opt := range opts {
		opt(job)
	}
	if err := eng.enter(job); err != nil {
		return nil, err
	}
	defer eng.leave(job)

	h := e.handler
	eng.mu.RLock()
	for i := len(eng.middleware) - 1; i >= 0; i-- {
		h = eng.middleware[i].wrap(h)
	}
	eng.mu.RUnlock()
	return h(ctx, job, in)
}

func (eng *Engine) enter(job *Job) error {
	eng.mu.Lock()
	defer eng.mu.Unlock()
	if eng.stopping {
		return classed{fmt.Errorf("%s: the engine is shutting down", job.Name), errdefs.ErrUnavailable}
	}
	eng.lastID++
	job.ID = eng.lastID
	eng.running[job.ID] = job
	return nil
}

func (eng *Engine) leave(job *Job) {
	eng.mu.Lock()
	defer eng.mu.Unlock()
	delete(eng.running, job.ID)
	if eng.stopping && eng.awaited() == 0 && eng.idle != nil {
		close(eng.idle)
		eng.idle = nil
	}
}

// RunningJob is a row of the table of running jobs.
type RunningJob struct {
	ID      uint64
	Name    string
	Job     string // as it would have been typed: wait(web)
	Caller  string
	Started time.Time
}

// Running lists the jobs that are running now, oldest first.
func (eng *Engine) Running() []RunningJob {
	eng.mu.RLock()
	defer eng.mu.RUnlock()
	rows := make([]RunningJob, 0, len(eng.running))
	for _, job := range eng.running {
		rows = append(rows, RunningJob{job.ID, job.Name, job.String(), job.Caller, job.Started})
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i].ID < rows[j].ID })
	return rows
}

// Cancel stops a running job through its context. errdefs.ErrNotFound if it is not running.
func (eng *Engine) Cancel(id uint64) error {
	eng.mu.RLock()
	defer eng.mu.RUnlock()
	job, ok := eng.running[id]
	if !ok {
		return classed{fmt.Errorf("no running job %d", id), errdefs.ErrNotFound}
	}
	job.cancel()
	return nil
}

// positional gives the values of the fields that are tagged as arguments.
func positional(in any) []string {
	v := reflect.ValueOf(in)
	if v.Kind() != reflect.Struct {
		return nil
	}
	var args []string
	for _, f := range argFields(v.Type()) {
		fv := v.FieldByIndex(f.Index)
		if fv.Kind() == reflect.Slice {
			for i := range fv.Len() {
				args = append(args, fmt.Sprint(fv.Index(i)))
			}
		} else if s := fmt.Sprint(fv); s != "" {
			args = append(args, s)
		}
	}
	return args
}
