package events

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/filters"
	"github.com/jobengine/engine/jobs"
)

// listener is a run of the events job.
type listener struct {
	t      *testing.T
	lines  *bufio.Scanner
	cancel context.CancelFunc
	ended  chan error
}

func newBus(t *testing.T) (*Events, *engine.Engine) {
	bus, eng := New(), engine.New()
	bus.Install(eng)
	return bus, eng
}

// listen runs the job and returns once it is open.
func listen(t *testing.T, eng *engine.Engine, in jobs.EventsIn) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r, w := io.Pipe()
	l := &listener{t, bufio.NewScanner(r), cancel, make(chan error, 1)}
	opened := make(chan bool)
	go func() {
		_, err := jobs.Events.Run(ctx, eng, in, func(jobs.EventsOpen) (engine.Streams, error) {
			close(opened)
			return engine.Streams{}, nil
		}, engine.Stdout(w))
		w.Close()
		l.ended <- err
	}()
	<-opened
	return l
}

func (l *listener) next() events.Message {
	l.t.Helper()
	if !l.lines.Scan() {
		l.t.Fatal("the stream ended")
	}
	var m events.Message
	assert.NilError(l.t, json.Unmarshal(l.lines.Bytes(), &m))
	return m
}

// rest gives the actors of all that comes until the end.
func (l *listener) rest() string {
	l.t.Helper()
	var ids []string
	for l.lines.Scan() {
		var m events.Message
		assert.NilError(l.t, json.Unmarshal(l.lines.Bytes(), &m))
		ids = append(ids, m.Actor.ID)
	}
	return strings.Join(ids, " ")
}

func TestEventsArriveInOrderAndWhole(t *testing.T) {
	bus, eng := newBus(t)
	l := listen(t, eng, jobs.EventsIn{})
	attrs := map[string]string{"name": "<web>"}
	bus.Log("container", "create", "abc", attrs)
	attrs["name"] = "changed later"
	bus.Log("container", "start", "abc", nil)
	first, second := l.next(), l.next()
	assert.DeepEqual(t, first.Actor, events.Actor{ID: "abc", Attributes: map[string]string{"name": "<web>"}})
	assert.Equal(t, string(first.Type)+" "+string(first.Action)+" "+first.Scope, "container create local")
	assert.Equal(t, first.Time, first.TimeNano/1e9)
	assert.Equal(t, second.Action, events.ActionStart)
	assert.Check(t, second.Actor.Attributes != nil)
	assert.Check(t, second.TimeNano > first.TimeNano)
	l.cancel()
	assert.NilError(t, <-l.ended)
	assert.Equal(t, bus.Subscribers(), 0)
}

func TestTimesIncreaseEvenIfTheClockDoesNot(t *testing.T) {
	bus, eng := newBus(t)
	now := time.Unix(1000, 0)
	bus.now = func() time.Time { return now }
	for range 3 {
		bus.Log("container", "x", "a", nil)
	}
	now = time.Unix(500, 0)
	bus.Log("container", "x", "a", nil)
	l := listen(t, eng, jobs.EventsIn{Since: time.Unix(1, 0), Until: time.Unix(2000, 0)})
	for i := range 4 {
		assert.Equal(t, l.next().TimeNano, int64(1000e9)+int64(i))
	}
}

func TestThePastIsReplayedToTheNanosecond(t *testing.T) {
	bus, eng := newBus(t)
	now := time.Unix(1000, 0)
	bus.now = func() time.Time { return now }
	for i := range 6 {
		bus.Log("container", "x", strconv.Itoa(i), nil) // at 1000 s and i ns
	}
	now = time.Unix(3000, 0)
	at := func(nsec int64) time.Time { return time.Unix(1000, nsec) }
	for _, row := range []struct {
		since, until time.Time
		want         string
	}{
		{at(0), at(10), "0 1 2 3 4 5"},
		{at(2), at(4), "2 3 4"},
		{at(3), at(3), "3"},
		{at(6), at(10), ""},
		{time.Time{}, at(1), "0 1"},
		{at(4), time.Unix(2000, 0), "4 5"},
	} {
		l := listen(t, eng, jobs.EventsIn{Since: row.since, Until: row.until})
		assert.Equal(t, l.rest(), row.want, "%v %v", row.since, row.until)
		assert.NilError(t, <-l.ended)
	}
}

func TestSinceGoesOnIntoThePresent(t *testing.T) {
	bus, eng := newBus(t)
	bus.Log("container", "x", "old", nil)
	l := listen(t, eng, jobs.EventsIn{Since: time.Unix(1, 0)})
	assert.Equal(t, l.next().Actor.ID, "old")
	bus.Log("container", "x", "new", nil)
	assert.Equal(t, l.next().Actor.ID, "new")
}

func TestWithoutSinceThePastIsPast(t *testing.T) {
	bus, eng := newBus(t)
	bus.Log("container", "x", "old", nil)
	l := listen(t, eng, jobs.EventsIn{})
	bus.Log("container", "x", "new", nil)
	assert.Equal(t, l.next().Actor.ID, "new")
}

func TestUntilEndsTheStream(t *testing.T) {
	bus, eng := newBus(t)
	l := listen(t, eng, jobs.EventsIn{Until: time.Now().Add(30 * time.Millisecond)})
	bus.Log("container", "x", "in time", nil)
	assert.Equal(t, l.rest(), "in time")
	assert.NilError(t, <-l.ended)
}

func TestSinceAfterUntilIsRefused(t *testing.T) {
	_, eng := newBus(t)
	_, err := jobs.Events.Run(context.Background(), eng, jobs.EventsIn{Since: time.Unix(2, 0), Until: time.Unix(1, 0)}, nil)
	assert.Error(t, err, "`since` time (1970-01-01T00:00:02Z) cannot be after `until` time (1970-01-01T00:00:01Z)")
	assert.Check(t, errdefs.IsInvalidArgument(err))
}

func TestTheLast256EventsAreKept(t *testing.T) {
	bus, eng := newBus(t)
	for i := range 700 {
		bus.Log("container", "x", strconv.Itoa(i), nil)
	}
	l := listen(t, eng, jobs.EventsIn{Since: time.Unix(1, 0), Until: time.Now().Add(-time.Nanosecond)})
	ids := strings.Fields(l.rest())
	if len(ids) > 256 || len(ids) < 255 { // the newest may bear the very time of until
		t.Fatalf("%d events came", len(ids))
	}
	for i, id := range ids {
		assert.Equal(t, id, strconv.Itoa(700-256+i))
	}
}

func TestASlowSubscriberIsDroppedAndHoldsNobodyUp(t *testing.T) {
	bus, eng := newBus(t)
	slow := listen(t, eng, jobs.EventsIn{})
	bus.Log("container", "x", "first", nil) // its writing blocks: nobody reads
	for range 3 * maxQueue {
		bus.Log("container", "x", "flood", nil)
	}
	assert.Equal(t, bus.Subscribers(), 0)
	slow.rest()
	err := <-slow.ended
	assert.ErrorContains(t, err, "not read in time")
	assert.Check(t, errdefs.IsUnavailable(err))
}

func TestAReaderThatLeavesEndsTheJob(t *testing.T) {
	bus, eng := newBus(t)
	r, w := io.Pipe()
	ended := make(chan error)
	opened := make(chan bool)
	go func() {
		_, err := jobs.Events.Run(context.Background(), eng, jobs.EventsIn{}, func(jobs.EventsOpen) (engine.Streams, error) {
			close(opened)
			return engine.Streams{}, nil
		}, engine.Stdout(w))
		ended <- err
	}()
	<-opened
	r.Close()
	bus.Log("container", "x", "a", nil)
	assert.NilError(t, <-ended)
}

func TestNothingIsMissedOrDoubledBetweenPastAndPresent(t *testing.T) {
	bus, eng := newBus(t)
	const total = 200
	var publish sync.WaitGroup
	publish.Add(1)
	go func() {
		defer publish.Done()
		for i := range total {
			bus.Log("container", "x", strconv.Itoa(i), nil)
		}
	}()
	l := listen(t, eng, jobs.EventsIn{Since: time.Unix(1, 0)})
	for i := range total {
		assert.Equal(t, l.next().Actor.ID, strconv.Itoa(i))
	}
	publish.Wait()
}

func TestTheLogJobPublishes(t *testing.T) {
	bus, eng := newBus(t)
	l := listen(t, eng, jobs.EventsIn{})
	_, err := jobs.Log.Run(context.Background(), eng, jobs.LogIn{Type: "daemon", Action: "reload", ActorID: "me", Attributes: map[string]string{"a": "b"}})
	assert.NilError(t, err)
	m := l.next()
	assert.Equal(t, m.Type, events.DaemonEventType)
	assert.Equal(t, m.Actor.Attributes["a"], "b")
	_, err = jobs.Log.Run(context.Background(), eng, jobs.LogIn{Type: "daemon"})
	assert.Check(t, errdefs.IsInvalidArgument(err))
	_ = bus
}

func TestAnUnknownFilterIsRefused(t *testing.T) {
	_, eng := newBus(t)
	_, err := jobs.Events.Run(context.Background(), eng, jobs.EventsIn{Filters: filters.Args{"colour": {"red"}}}, nil)
	assert.Error(t, err, "invalid filter 'colour'")
	assert.Check(t, errdefs.IsInvalidArgument(err))
}

func TestFiltersMatchAsDockersDo(t *testing.T) {
	web := events.Message{Type: "container", Action: "start", Scope: "local", Actor: events.Actor{ID: "abcdef", Attributes: map[string]string{
		"name": "web", "image": "host:5000/busybox:1.36", "tier": "front", "empty": "",
	}}}
	exec, health, pulled, connected := web, web, web, web
	exec.Action = "exec_create: sh -c ls"
	health.Action = "health_status: healthy"
	pulled.Type, pulled.Action = "image", "pull"
	pulled.Actor = events.Actor{ID: "sha256:12", Attributes: map[string]string{"name": "busybox:latest"}}
	connected.Type, connected.Action = "network", "connect"
	connected.Actor = events.Actor{ID: "n1", Attributes: map[string]string{"name": "bridge", "container": "abcdef"}}
	for _, row := range []struct {
		m    events.Message
		f    filters.Args
		want bool
	}{
		{web, nil, true},
		{web, filters.Args{"type": {"container"}}, true},
		{web, filters.Args{"type": {"image", "container"}}, true},
		{web, filters.Args{"type": {"cont"}}, false},
		{web, filters.Args{"event": {"start"}}, true},
		{web, filters.Args{"event": {"sta"}}, false},
		{web, filters.Args{"event": {"die", "start"}}, true},
		{web, filters.Args{"type": {"container"}, "event": {"die"}}, false},
		{exec, filters.Args{"event": {"exec_create"}}, true},
		{exec, filters.Args{"event": {"exec_create: sh -c ls"}}, true},
		{exec, filters.Args{"event": {"exec_create: sh"}}, false},
		{exec, filters.Args{"event": {"exec_start"}}, false},
		{health, filters.Args{"event": {"health_status"}}, true},
		{health, filters.Args{"event": {"health_status: healthy"}}, true},
		{health, filters.Args{"event": {"health_status: unhealthy"}}, false},
		{web, filters.Args{"container": {"web"}}, true},
		{web, filters.Args{"container": {"abc"}}, true},
		{web, filters.Args{"container": {"abcdef"}}, true},
		{web, filters.Args{"container": {"db", "web"}}, true},
		{web, filters.Args{"container": {"eb"}}, false},
		{connected, filters.Args{"container": {"web"}}, false},
		{connected, filters.Args{"network": {"bridge"}}, true},
		{web, filters.Args{"network": {"bridge"}}, false},
		{web, filters.Args{"image": {"host:5000/busybox:1.36"}}, true},
		{web, filters.Args{"image": {"host:5000/busybox"}}, true},
		{web, filters.Args{"image": {"busybox"}}, false},
		{pulled, filters.Args{"image": {"busybox"}}, true},
		{pulled, filters.Args{"image": {"busybox:latest"}}, true},
		{pulled, filters.Args{"image": {"busybox:1"}}, false},
		{pulled, filters.Args{"image": {"sha256:12"}}, true},
		{web, filters.Args{"label": {"tier"}}, true},
		{web, filters.Args{"label": {"tier=front"}}, true},
		{web, filters.Args{"label": {"tier=back"}}, false},
		{web, filters.Args{"label": {"tier=front", "absent"}}, false},
		{web, filters.Args{"label": {"empty="}}, true},
		{web, filters.Args{"scope": {"local"}}, true},
		{web, filters.Args{"scope": {"swarm"}}, false},
	} {
		assert.Equal(t, matcher(row.f)(&row.m), row.want, "%s %v", row.m.Action, row.f)
	}
}
