package client

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// link is one connection to one supervisor.
type link struct {
	conn  *protocol.Conn
	hello protocol.HelloReply
	lost  chan struct{} // closed when the connection is

	mu      sync.Mutex
	seq     uint64
	pending map[uint64]chan answer
}

type answer struct {
	protocol.Message
	files []*os.File
}

var errLost = errors.New("connection to the supervisor is lost")

func newLink(conn *protocol.Conn, told func(protocol.Message)) *link {
	l := &link{conn: conn, lost: make(chan struct{}), pending: map[uint64]chan answer{}}
	go l.receive(told)
	return l
}

func (l *link) receive(told func(protocol.Message)) {
	defer close(l.lost)
	defer l.conn.Close()
	for {
		m, files, err := l.conn.Receive()
		if err != nil {
			return
		}
		if m.Seq == 0 {
			protocol.CloseAll(files)
			told(m)
			continue
		}
		l.mu.Lock()
		wants := l.pending[m.Seq]
		delete(l.pending, m.Seq)
		l.mu.Unlock()
		if wants == nil { // the caller's context has ended
			protocol.CloseAll(files)
			continue
		}
		wants <- answer{m, files}
	}
}

// call sends a request and waits for its answer; errLost if the supervisor is gone.
func (l *link) call(ctx context.Context, op string, body json.RawMessage, files []*os.File) (answer, error) {
	wants := make(chan answer, 1)
	l.mu.Lock()
	l.seq++
	seq := l.seq
	l.pending[seq] = wants
	l.mu.Unlock()
	giveUp := func() {
		l.mu.Lock()
		_, waiting := l.pending[seq]
		delete(l.pending, seq)
		l.mu.Unlock()
		if !waiting { // the answer came at this moment
			select {
			case a := <-wants:
				protocol.CloseAll(a.files)
			case <-l.lost:
			}
		}
	}
	if err := l.conn.Send(protocol.Message{Seq: seq, Op: op, Body: body}, files...); err != nil {
		giveUp()
		select {
		case <-l.lost:
			return answer{}, errLost
		default:
		}
		if errors.Is(err, os.ErrClosed) || isBroken(err) {
			return answer{}, errLost
		}
		return answer{}, err
	}
	select {
	case a := <-wants:
		return a, nil
	case <-l.lost:
		select { // the last packet before the end
		case a := <-wants:
			return a, nil
		default:
			return answer{}, errLost
		}
	case <-ctx.Done():
		giveUp()
		return answer{}, ctx.Err()
	}
}

// do makes one attempt at a request that answers nothing. Unlike Client.call it
// may be used by the goroutine that keeps the connection.
func (l *link) do(ctx context.Context, op string, in any, files ...*os.File) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	a, err := l.call(ctx, op, body, files)
	if err != nil {
		return err
	}
	protocol.CloseAll(a.files)
	if a.Error != nil {
		return a.Error
	}
	return nil
}

// call repeats a request until a supervisor has answered it, or too many have died over it.
func (c *Client) call(ctx context.Context, op string, in, out any, files ...*os.File) ([]*os.File, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		l, err := c.current(ctx)
		if err != nil {
			return nil, err
		}
		a, err := l.call(ctx, op, body, files)
		if errors.Is(err, errLost) {
			l.conn.Close()
			c.unset(l)
			if err := c.afterDeath(ctx, op, attempt); err != nil {
				return nil, err
			}
			continue
		} else if err != nil {
			return nil, err
		}
		if a.Error != nil {
			protocol.CloseAll(a.files)
			if attempt > 1 && op == protocol.OpSignal && errors.Is(a.Error, execdriver.ErrNotRunning) {
				// The supervisor may have died after it had sent the signal. In
				// any case the process is gone.
				return nil, nil
			}
			return nil, a.Error
		}
		if out != nil {
			if err := json.Unmarshal(a.Body, out); err != nil {
				protocol.CloseAll(a.files)
				return nil, err
			}
		}
		return a.files, nil
	}
}
