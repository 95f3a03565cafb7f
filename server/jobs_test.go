package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
)

type pourIn struct {
	Drink string `job:"arg"`
	Cups  int    `job:"arg"`
	With  []string
	Milk  bool
}

type pourOut struct {
	Poured string
	Cups   int
}

var (
	pour  = engine.Define[pourIn, pourOut]("pour")
	echo  = engine.Define[struct{}, struct{}]("echo")
	spill = engine.Define[struct{}, struct{}]("spill")
	brew  = engine.DefineStream[struct{}, struct{}, struct{}]("brew")
)

func kitchen(eng *engine.Engine) {
	pour.Register(eng, func(_ context.Context, _ *engine.Job, in pourIn) (pourOut, error) {
		if in.Drink == "soup" {
			return pourOut{}, errs.Conflict("%s is not a drink", in.Drink)
		}
		return pourOut{fmt.Sprintf("%s %v %v <%s>", in.Drink, in.With, in.Milk, in.Drink), in.Cups}, nil
	})
	echo.Register(eng, func(_ context.Context, job *engine.Job, _ struct{}) (struct{}, error) {
		_, err := io.Copy(job.Stdout, job.Stdin)
		return struct{}{}, err
	})
	spill.Register(eng, func(_ context.Context, job *engine.Job, _ struct{}) (struct{}, error) {
		io.WriteString(job.Stdout, "half a cup\n")
		return struct{}{}, errors.New("the cup is\nbroken")
	})
	brew.Register(eng, func(ctx context.Context, job *engine.StreamJob[struct{}], _ struct{}) (struct{}, error) {
		job.Open(struct{}{})
		io.WriteString(job.Stdout, "brewing\n")
		<-ctx.Done()
		return struct{}{}, ctx.Err()
	})
}

func TestAJobIsRunByName(t *testing.T) {
	d := start(t, Options{}, kitchen)
	a := d.do("POST", "/jobs/pour?arg=tea&arg=2&env=Milk=true&env=With=sugar", "")
	assert.Equal(t, a.StatusCode, 200)
	assert.Equal(t, a.Header.Get("Content-Type"), "application/json")
	assert.Equal(t, a.body, `{"Poured":"tea [sugar] true <tea>","Cups":2}`+"\n")

	a = d.postJSON("/v1.41/jobs/pour", `{"Drink":"tea","Cups":3,"With":["a","b"]}`)
	assert.Equal(t, a.body, `{"Poured":"tea [a b] false <tea>","Cups":3}`+"\n")
	a = d.postJSON("/jobs/pour", "")
	assert.Equal(t, a.body, `{"Poured":" [] false <>","Cups":0}`+"\n")
}

func TestWhatAJobWritesIsTheAnswer(t *testing.T) {
	d := start(t, Options{}, kitchen)
	a := d.do("POST", "/jobs/echo", "in\x00and out", "Content-Type", "application/x-tar")
	assert.Equal(t, a.StatusCode, 200)
	assert.Equal(t, a.Header.Get("Content-Type"), "application/octet-stream")
	assert.Equal(t, a.body, "in\x00and out")
	assert.Equal(t, a.Trailer.Get(errorTrailer), "")
	a = d.do("POST", "/jobs/echo", "")
	assert.Equal(t, a.body, "{}\n")
}

func TestAJobsErrorIsAStatusOrTheLastLine(t *testing.T) {
	d := start(t, Options{}, kitchen)
	for line, want := range map[string]string{
		"/jobs/pour?arg=soup":          "409 soup is not a drink",
		"/jobs/nosuch":                 "501 nosuch: no such job",
		"/jobs/pour?arg=tea&arg=x":     `400 pour: argument Cups: "x": invalid syntax`,
		"/jobs/pour?arg=a&arg=1&arg=b": `400 pour: too many arguments: ["b"]`,
		"/jobs/pour?env=Milk":          `400 pour: env "Milk": want KEY=VALUE`,
		"/jobs/pour?env=Salt=1":        `400 pour: unknown key "Salt"`,
	} {
		a := d.do("POST", line, "")
		assert.Equal(t, fmt.Sprint(a.StatusCode, " ", a.message()), want)
	}
	a := d.postJSON("/jobs/pour?arg=tea", `{}`)
	assert.Equal(t, a.StatusCode, 400)
	a = d.postJSON("/jobs/pour", `{"Salt":1}`)
	assert.Equal(t, a.StatusCode, 400)
	assert.Assert(t, strings.Contains(a.message(), "Salt"), a.body)
	a = d.postJSON("/jobs/pour", strings.Repeat(" ", maxBody+1))
	assert.Equal(t, a.StatusCode, 413)

	a = d.do("POST", "/jobs/spill", "")
	assert.Equal(t, a.StatusCode, 200)
	assert.Equal(t, a.body, "half a cup\nerror: the cup is\nbroken\n")
	assert.Equal(t, a.Trailer.Get(errorTrailer), "the cup is broken")
}

func TestRunningJobsAreListedAndCancelled(t *testing.T) {
	d := start(t, Options{}, kitchen)
	c := d.dial()
	c.send("POST /jobs/brew HTTP/1.1\r\nHost: x\r\n\r\n")
	c.head()
	assert.Equal(t, c.readN(len("8\r\nbrewing\n\r\n")), "8\r\nbrewing\n\r\n")

	var rows []engine.RunningJob
	assert.NilError(t, json.Unmarshal([]byte(d.get("/jobs").body), &rows))
	var id uint64
	for _, row := range rows {
		if row.Name == "brew" {
			id = row.ID
			assert.Equal(t, row.Job, "brew()")
			assert.Equal(t, row.Caller, fmt.Sprintf("unix %d", pid()))
			assert.Check(t, !row.Started.IsZero())
		}
	}
	assert.Check(t, id != 0)
	assert.Equal(t, d.do("DELETE", fmt.Sprint("/jobs/", id), "").StatusCode, 204)
	assert.Assert(t, strings.Contains(c.readN(len("1f\r\nerror: context canceled\n")), "context canceled"))
	assert.Equal(t, d.do("DELETE", fmt.Sprint("/jobs/", id), "").StatusCode, 404)
	assert.Equal(t, d.do("DELETE", "/jobs/brew", "").StatusCode, 400)
}

func TestTheDynamicDoorIsClosedBesideAnAuthorizationPlugin(t *testing.T) {
	d := start(t, Options{AuthzConfigured: true}, kitchen)
	for _, line := range []string{"GET /jobs", "POST /jobs/pour", "DELETE /jobs/1"} {
		method, path, _ := strings.Cut(line, " ")
		assert.Equal(t, d.do(method, path, "").StatusCode, 403, line)
	}
}

func TestAJobThatEndsDoesNotWaitForTheRestOfItsInput(t *testing.T) {
	d := start(t, Options{}, kitchen)
	c := d.dial()
	c.send("POST /jobs/spill HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n") // and no end
	head := c.head()
	assert.Assert(t, strings.HasPrefix(head, "HTTP/1.1 200 OK"), head)
	assert.Assert(t, strings.Contains(c.readAll(), "half a cup"))
}
