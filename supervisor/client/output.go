package client

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
	"github.com/jobengine/engine/supervisor/spool"
)

// Output is a container's output as its spool has it, with a way to wait for
// more. The bytes do not pass through the supervisor. One goroutine may Wait or
// Copy at a time.
type Output struct {
	*spool.Reader
	c    *Client
	id   string
	key  uint64
	bell *os.File // eventfd that the supervisor writes to

	mu   sync.Mutex
	gone bool      // the supervisor no longer knows the container
	read *[2]int64 // as ReadTo was told
}

// ReadTo tells how far the caller has read each stream. A container without a
// log waits for its only reader if that tells, and is told again, and again.
func (o *Output) ReadTo(offset [2]int64) {
	o.mu.Lock()
	o.read = &offset
	o.mu.Unlock()
	o.c.mu.Lock()
	l := o.c.link
	o.c.mu.Unlock()
	if l == nil || l.hello.Version < 2 {
		return // watchAgain tells the next one
	}
	_ = l.do(o.c.ending, protocol.OpRead, o.asked())
}

// asked is what the supervisor is asked for.
func (o *Output) asked() protocol.Watch {
	o.mu.Lock()
	defer o.mu.Unlock()
	return protocol.Watch{ID: o.id, Key: o.key, Reader: o.read}
}

// Output opens the output of a container that was created and not yet deleted.
// It stays readable until Close, also when the container is deleted meanwhile.
func (c *Client) Output(ctx context.Context, id string) (*Output, error) {
	r, err := spool.OpenReader(protocol.ContainerDir(c.o.ExecRoot, id))
	if errors.Is(err, os.ErrNotExist) {
		return nil, execdriver.ErrNotFound
	} else if err != nil {
		return nil, err
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		r.Close()
		return nil, os.NewSyscallError("eventfd", err)
	}
	o := &Output{Reader: r, c: c, id: id, bell: os.NewFile(uintptr(fd), "eventfd")}
	c.mu.Lock()
	c.lastKey++
	o.key = c.lastKey
	c.outputs[o.key] = o
	c.mu.Unlock()
	if _, err := c.call(ctx, protocol.OpWatch, protocol.Watch{ID: id, Key: o.key}, nil, o.bell); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// watchAgain registers all outputs with a supervisor that is new.
func (c *Client) watchAgain(l *link) {
	c.mu.Lock()
	var all []*Output
	for _, o := range c.outputs {
		all = append(all, o)
	}
	c.mu.Unlock()
	for _, o := range all {
		err := l.do(c.ending, protocol.OpWatch, o.asked(), o.bell)
		if errors.Is(err, execdriver.ErrNotFound) {
			o.mu.Lock()
			o.gone = true
			o.mu.Unlock()
			o.ring()
		} else if err != nil {
			return // the next connection tries again
		}
	}
}

func (o *Output) ring() {
	if raw, err := o.bell.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.Write(int(fd), []byte{1, 0, 0, 0, 0, 0, 0, 0}) })
	}
}

// Wait returns when output was written, committed to the log or ended since the
// last Wait. It returns io.EOF when nothing more can come because the container
// is gone.
func (o *Output) Wait(ctx context.Context) error {
	o.mu.Lock()
	gone := o.gone
	o.mu.Unlock()
	if gone {
		return io.EOF
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	defer func() { _ = o.bell.SetReadDeadline(time.Time{}) }()
	stop := context.AfterFunc(ctx, func() { _ = o.bell.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var count [8]byte
	if _, err := o.bell.Read(count[:]); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return nil
}

// Copy gives fn what the streams had from the given offsets on, as it comes,
// until both have ended. The bytes are fn's during the call only. It returns
// spool.ErrLagged when fn was so slow that bytes were no longer kept, and fn's
// error when it returns one.
func (o *Output) Copy(ctx context.Context, from [spool.Streams]int64, fn func(spool.Stream, []byte) error) error {
	buf := make([]byte, 32<<10)
	gone := false
	for {
		idle, ended := true, 0
		for s := range spool.Stream(spool.Streams) {
			n, err := o.ReadAt(s, buf, from[s])
			switch {
			case err == io.EOF:
				ended++
			case err != nil:
				return err
			case n > 0:
				from[s] += int64(n)
				idle = false
				if err := fn(s, buf[:n]); err != nil {
					return err
				}
			}
		}
		if ended == spool.Streams {
			return nil
		}
		if !idle {
			continue
		}
		if gone {
			return io.ErrUnexpectedEOF
		}
		if err := o.Wait(ctx); err == io.EOF {
			gone = true
		} else if err != nil {
			return err
		}
	}
}

// Close lets go of the output.
func (o *Output) Close() error {
	o.c.mu.Lock()
	_, open := o.c.outputs[o.key]
	delete(o.c.outputs, o.key)
	l := o.c.link
	o.c.mu.Unlock()
	if !open {
		return nil
	}
	if l != nil {
		// The supervisor ends the watch too when the connection ends.
		go func() { _ = l.do(context.Background(), protocol.OpUnwatch, protocol.Watch{ID: o.id, Key: o.key}) }()
	}
	return errors.Join(o.bell.Close(), o.Reader.Close())
}
