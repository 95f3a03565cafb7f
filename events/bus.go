package events

import (
	"maps"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/internal/errs"
)

const (
	kept     = 256  // events that can be replayed
	maxQueue = 4096 // events that a subscriber may be behind
)

// errTooSlow ends the stream of a subscriber who was left behind.
var errTooSlow = errs.Unavailable("events: more than %d were not read in time, the stream ends here", maxQueue)

// Events is the bus. It is safe for concurrent use.
type Events struct {
	now func() time.Time

	mu          sync.Mutex
	ring        []events.Message // up to kept, the oldest at next once it is full
	next        int
	last        int64 // TimeNano of the newest event
	subscribers map[*subscription]struct{}
}

// New makes a bus on which nothing has happened yet.
func New() *Events {
	return &Events{now: time.Now, subscribers: make(map[*subscription]struct{})}
}

// Log publishes an event. The attributes are copied. Times of events are
// strictly increasing, so that each can be asked for with since and until.
func (e *Events) Log(typ events.Type, action events.Action, actorID string, attributes map[string]string) {
	m := events.Message{
		Type:   typ,
		Action: action,
		Actor:  events.Actor{ID: actorID, Attributes: maps.Clone(attributes)},
		Scope:  "local",
	}
	if m.Actor.Attributes == nil {
		m.Actor.Attributes = map[string]string{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	m.TimeNano = max(e.now().UnixNano(), e.last+1)
	m.Time = m.TimeNano / int64(time.Second)
	e.last = m.TimeNano
	if len(e.ring) < kept {
		e.ring = append(e.ring, m)
	} else {
		e.ring[e.next] = m
		e.next = (e.next + 1) % kept
	}
	for s := range e.subscribers {
		if s.match(&m) {
			s.push(m)
		}
	}
}

// Subscribers counts who is listening now.
func (e *Events) Subscribers() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.subscribers)
}

// subscription is a queue of matching events. The bus's lock guards it.
type subscription struct {
	bus     *Events
	match   func(*events.Message) bool
	queue   []events.Message
	tooSlow bool
	wake    chan struct{} // has room for one
}

// subscribe listens from now on. If past is given, those of the kept events for
// which it holds come first; none is missed and none comes twice.
func (e *Events) subscribe(match, past func(*events.Message) bool) *subscription {
	s := &subscription{bus: e, match: match, wake: make(chan struct{}, 1)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if past != nil {
		for i := range e.ring {
			if m := &e.ring[(e.next+i)%len(e.ring)]; past(m) && match(m) {
				s.push(*m)
			}
		}
	}
	e.subscribers[s] = struct{}{}
	return s
}

func (s *subscription) push(m events.Message) {
	if len(s.queue) >= maxQueue {
		s.tooSlow, s.queue = true, nil
		delete(s.bus.subscribers, s)
	} else {
		s.queue = append(s.queue, m)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns what has come since the last time.
func (s *subscription) take() ([]events.Message, error) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	queue := s.queue
	s.queue = nil
	if s.tooSlow {
		return nil, errTooSlow
	}
	return queue, nil
}

func (s *subscription) cancel() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	delete(s.bus.subscribers, s)
}
