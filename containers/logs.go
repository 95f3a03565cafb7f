package containers

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
	"github.com/jobengine/engine/logs/driver"
)

// logs reads what a container has written, and with Follow what it writes until it ends.
func (c *Containers) logs(ctx context.Context, job *engine.StreamJob[jobs.LogsOpen], in jobs.LogsIn) (out jobs.LogsOut, err error) {
	if !in.Stdout && !in.Stderr {
		return out, errs.Invalid("Bad parameters: you must choose at least one stream")
	}
	ct, err := c.find(in.Container)
	if err != nil {
		return out, err
	}
	defer c.hold(ct)()
	s := ct.Snapshot()
	open, err := c.logOpener(s)
	if err != nil {
		return out, err
	}
	o := driver.ReadOptions{Since: in.Since, Until: in.Until, Tail: in.Tail}
	if proc := ct.Proc(); in.Follow && proc != nil {
		f, err := c.follow(ctx, ct, proc)
		if err == nil {
			defer f.close()
			o.Follow = f
		} else if !errors.Is(err, ErrAbsent) { // else it has just ended
			return out, err
		}
	}
	r, err := open(s.LogPath, o)
	if err != nil {
		return out, err
	}
	defer r.Close()
	if err := job.Open(jobs.LogsOpen{Tty: s.Config.Tty}); err != nil {
		return out, nil
	}
	p := logPrinter{stdout: job.Stdout, stderr: job.Stderr, timestamps: in.Timestamps, details: in.Details}
	if !in.Stdout {
		p.stdout = nil
	}
	if !in.Stderr {
		p.stderr = nil
	}
	return out, p.copy(ctx, r)
}

func (c *Containers) logOpener(s *Snapshot) (driver.Open, error) {
	open, ok := c.cfg.Logs[s.HostConfig.LogConfig.Type]
	if !ok || s.LogPath == "" {
		return nil, errs.NotImplemented("configured logging driver does not support reading")
	}
	return open, nil
}

// runFollower is a driver.Follower of one run of a container.
type runFollower struct {
	out  Output
	over context.Context // ends with the run
	stop context.CancelFunc
}

func (c *Containers) follow(ctx context.Context, ct *Container, proc *Proc) (*runFollower, error) {
	// Not cut off by a client that goes: what was half opened could not be closed.
	out, err := c.runtime.Output(context.WithoutCancel(ctx), ct.id)
	if err != nil {
		return nil, err
	}
	over, stop := ct.until(ctx, proc)
	return &runFollower{out: out, over: over, stop: stop}, nil
}

// until gives a context that ends when a run of the container is over.
func (ct *Container) until(ctx context.Context, proc *Proc) (context.Context, context.CancelFunc) {
	over, stop := context.WithCancel(ctx)
	go func() {
		defer stop()
		_, _ = ct.await(over, func(*Snapshot) bool { return ct.Proc() != proc })
	}()
	return over, stop
}

// Wait ends when the log holds all that was written. Where it never will, as on
// a full disk, it ends with the run.
func (f *runFollower) Wait(ctx context.Context) error {
	if f.over.Err() != nil || complete(f.out) {
		return cmp.Or(ctx.Err(), io.EOF)
	}
	either, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.over, cancel)()
	err := f.out.Wait(either)
	if err != nil && ctx.Err() == nil && f.over.Err() != nil {
		return io.EOF
	}
	return err
}

func (f *runFollower) Committed() driver.Position { return f.out.Committed().Log }

func (f *runFollower) close() {
	f.stop()
	f.out.Close()
}

// complete tells whether the run will write no more and the log has all of it.
func complete(out Output) bool {
	var b [1]byte
	for _, s := range []Stream{Stdout, Stderr} {
		if _, err := out.ReadAt(s, b[:], out.Written(s)); !errors.Is(err, io.EOF) {
			return false
		}
	}
	in := out.Committed().Offset
	return in[Stdout] >= out.Written(Stdout) && in[Stderr] >= out.Written(Stderr)
}

// logPrinter writes entries as docker does: a line may have its time and its
// attributes in front. A nil stream is left out.
type logPrinter struct {
	stdout, stderr      io.Writer
	timestamps, details bool

	inLine [3]bool // this stream's last entry was not the end of its line
	buf    []byte
}

// copy prints until the end. A client that is gone is no error.
func (p *logPrinter) copy(ctx context.Context, r driver.Reader) error {
	for {
		e, err := r.Next(ctx)
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if p.print(e) != nil {
			return nil
		}
	}
}

func (p *logPrinter) print(e *driver.Entry) error {
	w := p.stdout
	if e.Stream == driver.Stderr {
		w = p.stderr
	}
	if w == nil {
		return nil
	}
	line := e.Line
	if (p.timestamps || p.details) && !p.inLine[e.Stream] {
		p.buf = p.buf[:0]
		if p.timestamps {
			p.buf = e.Time.UTC().AppendFormat(p.buf, timestampLayout)
			p.buf = append(p.buf, ' ')
		}
		if p.details {
			p.buf = appendDetails(p.buf, e.Attrs)
			p.buf = append(p.buf, ' ')
		}
		p.buf = append(p.buf, line...)
		line = p.buf
	}
	p.inLine[e.Stream] = e.Partial
	_, err := w.Write(line)
	return err
}

// timestampLayout is time.RFC3339Nano with all nine digits, so that columns align.
const timestampLayout = "2006-01-02T15:04:05.000000000Z07:00"

// appendDetails adds "key=value,…", sorted by key and escaped as in a URL's query.
func appendDetails(dst []byte, attrs map[string]string) []byte {
	if len(attrs) == 0 {
		return dst
	}
	words := make([]string, 0, len(attrs))
	for k, v := range attrs {
		words = append(words, url.QueryEscape(k)+"="+url.QueryEscape(v))
	}
	slices.Sort(words)
	return append(dst, strings.Join(words, ",")...)
}
