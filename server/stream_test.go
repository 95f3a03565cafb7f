package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

type waitFunc = engine.StreamFunc[jobs.WaitIn, jobs.WaitOpen, jobs.WaitOut]

func startWait(t *testing.T, f waitFunc) *testDaemon {
	return start(t, Options{}, func(eng *engine.Engine) { jobs.Wait.Register(eng, f) })
}

func TestWaitSendsItsHeadersBeforeTheContainerEnds(t *testing.T) {
	exits := make(chan int64, 1)
	var got jobs.WaitIn
	d := startWait(t, func(_ context.Context, job *engine.StreamJob[jobs.WaitOpen], in jobs.WaitIn) (jobs.WaitOut, error) {
		got = in
		job.Open(jobs.WaitOpen{})
		return jobs.WaitOut{WaitResponse: container.WaitResponse{StatusCode: <-exits}}, nil
	})
	for version, want := range map[string]string{"/v1.41": `{"Error":null,"StatusCode":7}`, "/v1.42": `{"StatusCode":7}`, "/v1.56": `{"StatusCode":7}`} {
		resp, err := d.http.Post("http://x"+version+"/containers/web/wait?condition=next-exit", "", nil)
		assert.NilError(t, err) // the headers are here
		assert.Equal(t, resp.StatusCode, 200)
		assert.Equal(t, resp.Header.Get("Content-Type"), "application/json")
		assert.DeepEqual(t, got, jobs.WaitIn{Container: "web", Condition: container.WaitConditionNextExit})
		exits <- 7
		body, err := io.ReadAll(resp.Body)
		assert.NilError(t, err)
		resp.Body.Close()
		assert.Equal(t, string(body), want+"\n")
	}
	exits <- 3
	a := d.do("POST", "/v1.29/containers/web/wait?condition=removed", "")
	assert.Equal(t, a.body, `{"StatusCode":3}`+"\n")
	assert.Equal(t, got.Condition, container.WaitCondition(""))
}

func TestAWaitThatFailsSaysSo(t *testing.T) {
	d := startWait(t, func(_ context.Context, job *engine.StreamJob[jobs.WaitOpen], in jobs.WaitIn) (jobs.WaitOut, error) {
		if in.Container == "nosuch" {
			return jobs.WaitOut{}, errs.NotFound("No such container: nosuch")
		}
		job.Open(jobs.WaitOpen{})
		return jobs.WaitOut{}, errors.New("lost it")
	})
	assert.Equal(t, d.do("POST", "/containers/nosuch/wait", "").StatusCode, 404)
	assert.Equal(t, d.do("POST", "/containers/web/wait", "").body, `{"Error":{"Message":"lost it"},"StatusCode":125}`+"\n")
}

func TestAWaitThatIsCutOffIsNotAnExit(t *testing.T) {
	opened := make(chan bool)
	d := startWait(t, func(ctx context.Context, job *engine.StreamJob[jobs.WaitOpen], _ jobs.WaitIn) (jobs.WaitOut, error) {
		job.Open(jobs.WaitOpen{})
		close(opened)
		<-ctx.Done()
		return jobs.WaitOut{}, ctx.Err()
	})
	resp, err := d.http.Post("http://x/containers/web/wait", "", nil)
	assert.NilError(t, err)
	defer resp.Body.Close()
	<-opened
	assert.NilError(t, d.eng.Shutdown(context.Background()))
	_, err = io.ReadAll(resp.Body)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestLogsComeInTheirVersionsType(t *testing.T) {
	var got jobs.LogsIn
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Logs.Register(eng, func(_ context.Context, job *engine.StreamJob[jobs.LogsOpen], in jobs.LogsIn) (jobs.LogsOut, error) {
			got = in
			switch in.Container {
			case "nosuch":
				return jobs.LogsOut{}, errs.NotFound("No such container: nosuch")
			case "none":
				return jobs.LogsOut{}, errs.NotImplemented("configured logging driver does not support reading")
			}
			job.Open(jobs.LogsOpen{Tty: in.Container == "tty"})
			io.WriteString(job.Stdout, "out\n")
			io.WriteString(job.Stderr, "err\n")
			if in.Container == "damaged" {
				return jobs.LogsOut{}, errors.New("line 3 is torn")
			}
			return jobs.LogsOut{}, nil
		})
	})
	const framed = "\x01\x00\x00\x00\x00\x00\x00\x04out\n\x02\x00\x00\x00\x00\x00\x00\x04err\n"
	for _, row := range []struct{ path, kind, body string }{
		{"/v1.41/containers/web/logs", "application/vnd.docker.raw-stream", framed},
		{"/v1.42/containers/web/logs", "application/vnd.docker.multiplexed-stream", framed},
		{"/containers/tty/logs", "application/vnd.docker.raw-stream", "out\nerr\n"},
	} {
		a := d.get(row.path + "?stdout=1&stderr=1")
		assert.Equal(t, a.StatusCode, 200)
		assert.Equal(t, a.Header.Get("Content-Type"), row.kind)
		assert.Equal(t, a.body, row.body)
	}
	assert.Equal(t, d.get("/containers/nosuch/logs?stdout=1").StatusCode, 404)
	assert.Equal(t, d.get("/containers/none/logs?stdout=1").StatusCode, 501)

	a := d.get("/containers/damaged/logs?stdout=1")
	_, err := stdcopy.StdCopy(io.Discard, io.Discard, strings.NewReader(a.body))
	assert.ErrorContains(t, err, "Error grabbing logs: line 3 is torn")

	d.get("/containers/web/logs?stdout=1&follow=1&timestamps=1&details=1&tail=5&since=1136073600.000000001&until=1136073601.5")
	assert.Equal(t, got.Since.UnixNano(), int64(1136073600000000001))
	assert.Equal(t, got.Until.UnixNano(), int64(1136073601500000000))
	assert.Check(t, got.Stdout && !got.Stderr && got.Follow && got.Timestamps && got.Details)
	assert.Equal(t, got.Tail, 5)
	for _, text := range []string{"", "all", "x"} {
		d.get("/containers/web/logs?stdout=1&tail=" + text)
		assert.Equal(t, got.Tail, -1)
	}
	d.get("/v1.34/containers/web/logs?stdout=1&until=5")
	assert.Check(t, got.Until.IsZero())
}

func TestAFollowedLogArrivesLineByLine(t *testing.T) {
	more := make(chan bool)
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Logs.Register(eng, func(_ context.Context, job *engine.StreamJob[jobs.LogsOpen], _ jobs.LogsIn) (jobs.LogsOut, error) {
			job.Open(jobs.LogsOpen{Tty: true})
			for range more {
				io.WriteString(job.Stdout, "line\n")
			}
			return jobs.LogsOut{}, nil
		})
	})
	resp, err := d.http.Get("http://x/containers/web/logs?stdout=1&follow=1")
	assert.NilError(t, err)
	defer resp.Body.Close()
	buf := make([]byte, 5)
	for range 3 {
		more <- true
		_, err := io.ReadFull(resp.Body, buf)
		assert.NilError(t, err)
	}
	close(more)
	rest, err := io.ReadAll(resp.Body)
	assert.NilError(t, err)
	assert.Equal(t, string(rest), "")
}

func eventsDaemon(t *testing.T) *testDaemon {
	return start(t, Options{}, func(eng *engine.Engine) {
		jobs.Events.Register(eng, func(_ context.Context, job *engine.StreamJob[jobs.EventsOpen], in jobs.EventsIn) (jobs.EventsOut, error) {
			if err := in.Filters.Check("type"); err != nil {
				return jobs.EventsOut{}, err
			}
			job.Open(jobs.EventsOpen{})
			enc := json.NewEncoder(job.Stdout)
			for _, typ := range []events.Type{"container", "image", "network"} {
				enc.Encode(events.Message{Type: typ, Action: "create", Scope: "local", Time: 1, TimeNano: 1000000001,
					Actor: events.Actor{ID: "abc", Attributes: map[string]string{"image": "busybox", "name": "web"}}})
			}
			return jobs.EventsOut{}, nil
		})
	})
}

func TestEventsKeepTheirOldFieldsForOldClients(t *testing.T) {
	d := eventsDaemon(t)
	a := d.get("/v1.51/events")
	assert.Equal(t, a.Header.Get("Content-Type"), "application/json")
	const rest = `"Action":"create","Actor":{"ID":"abc","Attributes":{"image":"busybox","name":"web"}},"scope":"local","time":1,"timeNano":1000000001}` + "\n"
	assert.Equal(t, a.body,
		`{"status":"create","id":"abc","from":"busybox","Type":"container",`+rest+
			`{"status":"create","id":"abc","Type":"image",`+rest+
			`{"Type":"network",`+rest)
	a = d.get("/v1.52/events")
	assert.Equal(t, a.Header.Get("Content-Type"), "application/jsonl")
	assert.Equal(t, a.body, `{"Type":"container",`+rest+`{"Type":"image",`+rest+`{"Type":"network",`+rest)
}

func TestClientsChooseTheTypeOfEvents(t *testing.T) {
	d := eventsDaemon(t)
	for accept, want := range map[string]string{
		"application/x-ndjson":                         "application/x-ndjson",
		"text/html, application/json-seq;q=0.9, */*":   "application/json-seq",
		"application/jsonl,application/x-ndjson;q=0.5": "application/jsonl",
		"application/json":                             "application/jsonl",
		"":                                             "application/jsonl",
	} {
		a := d.do("GET", "/events", "", "Accept", accept)
		assert.Equal(t, a.Header.Get("Content-Type"), want, accept)
		assert.Equal(t, strings.Count(a.body, "\x1e{") == 3, want == "application/json-seq")
		assert.Equal(t, strings.Count(a.body, "\n"), 3)
	}
	assert.Equal(t, d.do("GET", "/v1.51/events", "", "Accept", "application/json-seq").Header.Get("Content-Type"), "application/json")
}

func TestBadFiltersOfEventsAreAStatus(t *testing.T) {
	d := eventsDaemon(t)
	a := d.get(`/events?filters={"colour":["red"]}`)
	assert.Equal(t, a.StatusCode, 400)
	assert.Equal(t, a.message(), "invalid filter 'colour'")
}

func TestProgressThatFailsEndsInAnErrorDetail(t *testing.T) {
	var stdin bytes.Buffer
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Load.Register(eng, func(_ context.Context, job *engine.StreamJob[jobs.LoadOpen], in jobs.LoadIn) (jobs.LoadOut, error) {
			if in.Quiet {
				return jobs.LoadOut{}, errs.Invalid("not an archive")
			}
			job.Open(jobs.LoadOpen{})
			io.Copy(&stdin, job.Stdin)
			io.WriteString(job.Stdout, `{"stream":"Loaded"}`+"\r\n")
			return jobs.LoadOut{}, errs.DataLoss("digest <differs>")
		})
	})
	a := d.do("POST", "/images/load?quiet=0", "a tar", "Content-Type", "application/x-tar")
	assert.Equal(t, a.StatusCode, 200)
	assert.Equal(t, a.Header.Get("Content-Type"), "application/json")
	assert.Equal(t, stdin.String(), "a tar")
	var last progressError
	dec := json.NewDecoder(strings.NewReader(a.body))
	assert.NilError(t, dec.Decode(&struct{}{}))
	assert.NilError(t, dec.Decode(&last))
	assert.Equal(t, last.Detail.Message, "digest <differs>")
	assert.Equal(t, last.Error, "digest <differs>")
	assert.Equal(t, d.do("POST", "/images/load?quiet=1", "").StatusCode, 400)
}

func TestCreatingAnImageIsPullOrImport(t *testing.T) {
	var pulled jobs.PullIn
	var imported jobs.ImportIn
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Pull.Register(eng, func(_ context.Context, job *engine.StreamJob[jobs.PullOpen], in jobs.PullIn) (jobs.PullOut, error) {
			pulled = in
			job.Open(jobs.PullOpen{})
			return jobs.PullOut{}, nil
		})
		jobs.Import.Register(eng, func(_ context.Context, job *engine.StreamJob[jobs.ImportOpen], in jobs.ImportIn) (jobs.ImportOut, error) {
			imported = in
			job.Open(jobs.ImportOpen{})
			_, err := io.Copy(job.Stdout, job.Stdin)
			return jobs.ImportOut{}, err
		})
	})
	a := d.do("POST", "/images/create?fromImage=busybox&tag=latest&platform=linux/arm64", "", "X-Registry-Auth", "eyJ1c2VybmFtZSI6ImEiLCJwYXNzd29yZCI6ImIifQ==")
	assert.Equal(t, a.StatusCode, 200)
	assert.Equal(t, pulled.Image+" "+pulled.Tag+" "+pulled.Platform+" "+pulled.Auth.Username, "busybox latest linux/arm64 a")
	assert.Check(t, !pulled.All)
	d.do("POST", "/images/create?fromImage=host:5000/busybox", "", "X-Registry-Auth", "garbage")
	assert.Check(t, pulled.All)
	d.do("POST", "/images/create?fromImage=busybox:1", "")
	assert.Check(t, !pulled.All)

	a = d.do("POST", "/images/create?fromSrc=-&repo=r&tag=t&message=m&changes=CMD+a&changes=ENV+b&platform=linux/amd64", `{"status":"x"}`)
	assert.Equal(t, a.body, `{"status":"x"}`)
	assert.DeepEqual(t, imported, jobs.ImportIn{Source: "-", Repository: "r", Tag: "t", Message: "m", Changes: []string{"CMD a", "ENV b"}, Platform: "linux/amd64"})
}

func TestAClientThatWaitsForContinueGetsIt(t *testing.T) {
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Load.Register(eng, func(_ context.Context, job *engine.StreamJob[jobs.LoadOpen], _ jobs.LoadIn) (jobs.LoadOut, error) {
			job.Open(jobs.LoadOpen{})
			_, err := io.Copy(job.Stdout, job.Stdin)
			return jobs.LoadOut{}, err
		})
	})
	c := d.dial()
	c.send("POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	assert.Assert(t, strings.HasPrefix(c.head(), "HTTP/1.1 100 Continue\r\n"))
	c.send("a tar")
	assert.Assert(t, strings.HasPrefix(c.head(), "HTTP/1.1 200 OK\r\n"))
	assert.Assert(t, strings.Contains(c.readAll(), "a tar"))
}

func TestEventsThatFailSaySoAndBreakOff(t *testing.T) {
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Events.Register(eng, func(_ context.Context, job *engine.StreamJob[jobs.EventsOpen], _ jobs.EventsIn) (jobs.EventsOut, error) {
			job.Open(jobs.EventsOpen{})
			return jobs.EventsOut{}, errs.Unavailable("too slow")
		})
	})
	resp, err := d.http.Get("http://x/events")
	assert.NilError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, string(body), `{"errorDetail":{"message":"too slow"},"error":"too slow"}`+"\r\n")
}
