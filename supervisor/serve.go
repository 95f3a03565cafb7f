package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/supervisor/protocol"
)

// session is one connection. Several daemons may be connected at a time, as an
// old one may still be ending.
type session struct {
	s    *supervisor
	conn *protocol.Conn

	mu      sync.Mutex
	closed  bool
	watches map[uint64]*container
	done    chan struct{}
}

func (s *supervisor) serve(l *net.UnixListener, terminate <-chan os.Signal) error {
	failed := make(chan error, 1)
	go func() {
		for {
			c, err := l.AcceptUnix()
			if errors.Is(err, net.ErrClosed) {
				return
			} else if err != nil {
				var temporary net.Error
				if errors.As(err, &temporary) { // out of descriptors, mostly
					logrus.Errorf("accept: %v", err)
					time.Sleep(100 * time.Millisecond)
					continue
				}
				failed <- err
				return
			}
			go s.session(c)
		}
	}()
	for {
		select {
		case err := <-failed:
			return err
		case <-terminate:
			// With containers it stays: they would lose their parent.
			s.shutdown()
		case <-s.idle:
			if s.ends() {
				s.drivers.forget()
				// Before nobody listens there: then a daemon would put the socket of a successor in
				// its place, and the one that is removed would be that one.
				_ = os.Remove(protocol.SocketPath(s.root))
				l.Close()
				return nil
			}
		}
	}
}

// ends says whether it is time to: when those who have asked for what was done last
// have their answers, and if nobody has come meanwhile.
func (s *supervisor) ends() bool {
	for wait := 0; s.answering.Load() > 0 && wait < 200; wait++ {
		time.Sleep(5 * time.Millisecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending && len(s.containers) == 0
}

func (s *supervisor) session(c *net.UnixConn) {
	defer c.Close()
	uid, err := protocol.PeerUID(c)
	if err != nil || uid != 0 && int(uid) != os.Geteuid() {
		logrus.Errorf("refused a connection of user %d: %v", uid, err)
		return
	}
	n := &session{s: s, conn: protocol.NewConn(c), watches: map[uint64]*container{}, done: make(chan struct{})}
	defer n.end()
	for {
		m, files, err := n.conn.Receive()
		if err != nil {
			return
		}
		if m.Op == protocol.OpExpect {
			protocol.CloseAll(files)
			s.warmer.warm()
			continue
		}
		s.answering.Add(1)
		go n.handle(m, files)
	}
}

func (n *session) end() {
	close(n.done)
	n.mu.Lock()
	watches := n.watches
	n.watches, n.closed = nil, true
	n.mu.Unlock()
	for key, c := range watches {
		c.output.unwatch(n, key)
	}
	n.s.exits.wake()
	n.s.ooms.wake()
}

// reply is what an operation answers: a body, and descriptors that are closed
// once they are sent if owned says so.
type reply struct {
	body  any
	files []*os.File
	owned bool
}

func (n *session) handle(m protocol.Message, files []*os.File) {
	defer n.s.answering.Add(-1)
	defer protocol.CloseAll(files)
	defer n.s.quiet.Touch()
	var r reply
	err := guard(m.Op, func() (err error) {
		r, err = n.operate(m, files)
		return err
	})
	answer := protocol.Message{Seq: m.Seq, Error: protocol.AsError(err)}
	if err == nil && r.body != nil {
		answer.Body, err = json.Marshal(r.body)
		if err != nil {
			answer.Error = protocol.AsError(err)
		}
	}
	// A daemon that is gone asks again through another connection.
	_ = n.conn.Send(answer, r.files...)
	if r.owned {
		protocol.CloseAll(r.files)
	}
}

// guard makes a panic over one container that operation's error.
func guard(op string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			logrus.Errorf("panic in %s: %v\n%s", op, p, debug.Stack())
			err = fmt.Errorf("internal error in %s", op)
		}
	}()
	return f()
}

func (n *session) operate(m protocol.Message, files []*os.File) (reply, error) {
	s := n.s
	switch m.Op {
	case protocol.OpHello, protocol.OpList, protocol.OpWatch, protocol.OpUnwatch, protocol.OpRead, protocol.OpUpgrade:
	default:
		defer s.gate.enter()()
	}
	switch m.Op {
	case protocol.OpHello:
		return with(m, n.hello)
	case protocol.OpCreate:
		return with(m, func(q protocol.Create) (reply, error) { return s.create(q, n.conn.Version()) })
	case protocol.OpStart:
		return with(m, s.start)
	case protocol.OpSignal:
		return with(m, s.signal)
	case protocol.OpExec:
		return with(m, func(q protocol.Exec) (reply, error) { return s.exec(q, files) })
	case protocol.OpPause:
		return with(m, s.pause)
	case protocol.OpResume:
		return with(m, s.resume)
	case protocol.OpPids:
		return with(m, s.pids)
	case protocol.OpUpdate:
		return with(m, s.update)
	case protocol.OpStats:
		return with(m, s.stats)
	case protocol.OpDelete:
		return with(m, s.delete)
	case protocol.OpList:
		return s.list(), nil
	case protocol.OpWatch:
		return with(m, func(q protocol.Watch) (reply, error) { return reply{}, n.watch(q, files) })
	case protocol.OpUnwatch:
		return with(m, func(q protocol.Watch) (reply, error) { n.unwatch(q); return reply{}, nil })
	case protocol.OpRead:
		return with(m, func(q protocol.Watch) (reply, error) { n.read(q); return reply{}, nil })
	case protocol.OpAck:
		return with(m, func(q protocol.Ack) (reply, error) { s.ack(q); return reply{}, nil })
	case protocol.OpCloseStdin:
		return with(m, s.closeStdin)
	case protocol.OpTake:
		return with(m, func(q protocol.Target) (reply, error) { return s.take(q, n.conn.Version()) })
	case protocol.OpGive:
		return with(m, func(q protocol.Give) (reply, error) { return s.give(q, files) })
	case protocol.OpHold:
		return with(m, func(q protocol.Hold) (reply, error) { return reply{}, s.hold(q, files) })
	case protocol.OpTakeExec:
		return with(m, s.takeExec)
	case protocol.OpUpgrade:
		return with(m, func(q protocol.Upgrade) (reply, error) { return reply{}, s.upgrade(q, files) })
	case protocol.OpShutdown:
		s.shutdown()
		return reply{}, nil
	}
	return reply{}, fmt.Errorf("unknown operation %q: %w", m.Op, protocol.ErrInvalid)
}

// with decodes the body of m for f.
func with[In any](m protocol.Message, f func(In) (reply, error)) (reply, error) {
	var in In
	if err := json.Unmarshal(m.Body, &in); err != nil {
		return reply{}, fmt.Errorf("%s: %v: %w", m.Op, err, protocol.ErrInvalid)
	}
	return f(in)
}

func (n *session) hello(q protocol.Hello) (reply, error) {
	s := n.s
	problem := ""
	if err := s.drivers.configure(q.Drivers); err != nil && q.Version < 2 {
		return reply{}, err
	} else if err != nil { // an upgrade may be what it takes
		problem = err.Error()
	}
	spoken := protocol.Spoken(q.Version)
	n.conn.Speak(spoken)
	if q.Exits {
		go s.exits.push(n.conn, n.done)
		go s.ooms.push(n.conn, n.done)
	}
	// A daemon that comes means to stay.
	s.mu.Lock()
	s.ending = false
	s.mu.Unlock()
	return reply{body: protocol.HelloReply{
		Version: spoken, Pid: os.Getpid(), Epoch: s.epoch, Drivers: s.drivers.names(), Configured: problem == "", Problem: problem, Build: s.build,
	}}, nil
}
