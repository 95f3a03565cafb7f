package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jobengine/engine/supervisor/protocol"
)

// Options say where the supervisor is and how to start one.
type Options struct {
	// ExecRoot is the folder for run-time files, absolute.
	ExecRoot string
	// Command makes a command that becomes a supervisor; arguments, socket and
	// session are set here. Nil runs this very program again.
	Command func() (*exec.Cmd, error)
	// Drivers are the exec drivers that are wanted with options or under further names.
	Drivers []protocol.Driver
	// Build names the program of Command: two with the same name are the same. A
	// supervisor with another name is upgraded by Open. Empty: nothing is.
	Build string
	// LogLevel of the supervisor: debug, info, warning (if empty) or error.
	LogLevel string
	// Log receives what the client has to say, such as a restart. Nil drops it.
	Log func(format string, args ...any)
}

// Client is connected to the supervisor of an exec root. Its methods may be
// called by several goroutines at a time. A method waits while the supervisor is
// being restarted, until its context ends.
type Client struct {
	o Options

	mu      sync.Mutex
	link    *link
	linked  chan struct{} // closed while link is set
	problem error         // why there is no link
	outputs map[uint64]*Output
	held    map[string]*held
	lastKey uint64

	exits     exitQueue
	ooms      oomQueue
	expected  atomic.Int64 // when Expect was last sent, in nanoseconds
	shutdown  atomic.Bool
	upgrading atomic.Bool
	ending    context.Context
	close     context.CancelFunc
	gone      sync.WaitGroup
}

// ErrClosed is returned by methods of a closed client.
var ErrClosed = errors.New("supervisor client is closed")

// Open connects to the supervisor, starting it if there is none.
func Open(ctx context.Context, o Options) (*Client, error) {
	if !filepath.IsAbs(o.ExecRoot) {
		return nil, fmt.Errorf("exec root %q is not an absolute path", o.ExecRoot)
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.LogLevel == "" {
		o.LogLevel = "warning"
	}
	if err := os.MkdirAll(o.ExecRoot, 0o700); err != nil {
		return nil, err
	}
	c := &Client{o: o, linked: make(chan struct{}), outputs: map[uint64]*Output{}, held: map[string]*held{}}
	c.ending, c.close = context.WithCancel(context.Background())
	c.exits.init()
	c.ooms.init()
	var l *link
	var err error
	for pause := 5 * time.Millisecond; pause < time.Second; pause *= 2 {
		if l, err = c.connect(ctx); err == nil || ctx.Err() != nil || errors.As(err, new(*problemError)) {
			break
		}
		time.Sleep(pause)
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("supervisor: %w", err)
	}
	c.set(l)
	c.gone.Go(func() { c.stayLinked(l) })
	c.gone.Go(c.exits.feed)
	if err := c.holdAll(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("supervisor: %w", err)
	}
	if have := c.Hello().Build; o.Build != "" && have != o.Build {
		// Whatever the trouble, the one that is there goes on.
		if err := c.Upgrade(ctx); err != nil {
			if problem := c.Hello().Problem; problem != "" {
				c.abandon(ctx)
				return nil, fmt.Errorf("supervisor: %s, and it can't be upgraded: %w", problem, err)
			}
			o.Log("the running supervisor is of another build and stays: %v", err)
		}
	}
	return c, nil
}

// abandon is Close for one who will not come back: a supervisor without containers ends.
func (c *Client) abandon(ctx context.Context) {
	_ = c.Shutdown(ctx)
	c.Close()
}

// Close disconnects. The supervisor and its containers live on.
func (c *Client) Close() error {
	c.close()
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if l != nil {
		l.conn.Close()
	}
	c.exits.end()
	c.ooms.end()
	c.gone.Wait()
	c.releaseAll()
	return nil
}

// Hello tells about the supervisor that is connected now.
func (c *Client) Hello() protocol.HelloReply {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		return protocol.HelloReply{}
	}
	return c.link.hello
}

// stayLinked connects again whenever the connection breaks.
func (c *Client) stayLinked(l *link) {
	for {
		select {
		case <-l.lost:
		case <-c.ending.Done():
			return
		}
		c.unset(l)
		if c.shutdown.Load() { // it ended as it was told to
			c.close()
			return
		}
		if c.ending.Err() == nil && !c.upgrading.Load() {
			c.o.Log("supervisor %d is gone, starting another one", l.hello.Pid)
		}
		for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
			if c.ending.Err() != nil {
				return
			}
			var err error
			if l, err = c.connect(c.ending); err == nil {
				break
			}
			c.mu.Lock()
			c.problem = err
			c.mu.Unlock()
			if pause > 50*time.Millisecond { // before, it may be the dying one's socket
				c.o.Log("supervisor: %v", err)
			}
			select {
			case <-time.After(pause):
			case <-c.ending.Done():
				return
			}
		}
		c.set(l)
		c.o.Log("supervisor %d is connected", l.hello.Pid)
		c.giveBack(l)
		c.watchAgain(l)
	}
}

func (c *Client) set(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link, c.problem = l, nil
	close(c.linked)
}

// unset takes l away, if it is still the current one.
func (c *Client) unset(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == l {
		c.link = nil
		c.linked = make(chan struct{})
	}
}

// current waits for a connection.
func (c *Client) current(ctx context.Context) (*link, error) {
	for {
		c.mu.Lock()
		l, linked, problem := c.link, c.linked, c.problem
		c.mu.Unlock()
		if c.ending.Err() != nil {
			return nil, ErrClosed
		}
		if l != nil {
			return l, nil
		}
		select {
		case <-linked:
		case <-c.ending.Done():
			return nil, ErrClosed
		case <-ctx.Done():
			if problem == nil {
				problem = errLost
			}
			return nil, fmt.Errorf("supervisor: %w: %w", ctx.Err(), problem)
		}
	}
}
