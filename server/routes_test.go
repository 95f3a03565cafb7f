package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

func TestPingTellsClientsWhatIsHere(t *testing.T) {
	d := start(t, Options{Version: "9.9"}, nil)
	for _, path := range []string{"/_ping", "/v1.24/_ping", "/v1.56/_ping"} {
		a := d.get(path)
		assert.Equal(t, a.StatusCode, 200)
		assert.Equal(t, a.body, "OK")
		for key, want := range map[string]string{
			"Api-Version": "1.56", "Ostype": "linux", "Docker-Experimental": "false", "Server": "Docker/9.9 (linux)",
			"Builder-Version": "1", "Swarm": "inactive", "Pragma": "no-cache",
			"Cache-Control": "no-cache, no-store, must-revalidate", "Content-Type": "text/plain; charset=utf-8",
		} {
			assert.Equal(t, a.Header.Get(key), want, key)
		}
	}
	a := d.do("HEAD", "/_ping", "")
	assert.Equal(t, a.StatusCode, 200)
	assert.Equal(t, a.Header.Get("Content-Length"), "0")
	assert.Equal(t, a.Header.Get("Api-Version"), "1.56")
}

func TestUnknownPathsAndWrongMethodsAreNotFound(t *testing.T) {
	d := start(t, Options{}, nil)
	for _, line := range []string{
		"GET /", "GET /nosuch", "GET /v1.41", "GET /v1.41/", "PUT /info", "DELETE /info", "OPTIONS /info", "POST /containers/json",
		"GET /containers/create", "GET /debug/pprof/", "POST /session", "POST /grpc",
		"BREW /_ping", "GET /version/",
	} {
		method, path, _ := strings.Cut(line, " ")
		a := d.do(method, path, "")
		assert.Equal(t, a.StatusCode, 404, line)
		assert.Equal(t, a.body, `{"message":"page not found"}`+"\n", line)
		assert.Equal(t, a.Header.Get("Content-Type"), "application/json", line)
	}
}

func TestDoubleSlashesAreLedToTheRightPath(t *testing.T) {
	d := start(t, Options{}, stubContainers)
	for path, want := range map[string]string{
		"//v1.41/containers/json?all=1": "/v1.41/containers/json?all=1",
		"/containers//json":             "/containers/json",
		"/a/../_ping":                   "/_ping",
		"//evil.example/x":              "/evil.example/x",
		"/%2f/evil.example":             "/evil.example",
	} {
		c := d.dial()
		c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		head := c.head()
		assert.Assert(t, strings.HasPrefix(head, "HTTP/1.1 301 "), head)
		assert.Assert(t, strings.Contains(head, "Location: "+want+"\r\n"), head)
	}
}

func TestNetworksAreMadeConnectedAndRemoved(t *testing.T) {
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.NetworkCreate.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.NetworkCreateIn) (out jobs.NetworkCreateOut, err error) {
			return jobs.NetworkCreateOut{ID: "id of " + in.Name}, nil
		})
		jobs.NetworkConnect.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.NetworkConnectIn) (out jobs.NetworkConnectOut, err error) {
			if in.Network != "web" || in.Container != "c" || in.Endpoint.Aliases[0] != "db" {
				err = errs.Invalid("not what was sent: %+v", in)
			}
			return out, err
		})
		jobs.NetworkDisconnect.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.NetworkDisconnectIn) (out jobs.NetworkDisconnectOut, err error) {
			if !in.Force {
				err = errs.Forbidden("no")
			}
			return out, err
		})
		jobs.NetworkRemove.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.NetworkRemoveIn) (out jobs.NetworkRemoveOut, err error) {
			if in.Network != "web" {
				err = errs.NotFound("network %s not found", in.Network)
			}
			return out, err
		})
	})
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/networks/create", `{"Name":"web"}`, `201 {"Id":"id of web","Warning":""}`},
		{"POST", "/networks/web/connect", `{"Container":"c","EndpointConfig":{"Aliases":["db"]}}`, "200 "},
		{"POST", "/networks/web/connect", `{}`, `400 {"message":"invalid name or ID supplied: \"\""}`},
		{"POST", "/networks/web/disconnect", `{"Container":"c","Force":true}`, "200 "},
		{"POST", "/networks/web/disconnect", `{"Container":"c"}`, `403 {"message":"no"}`},
		{"DELETE", "/networks/web", "", "204 "},
		{"DELETE", "/networks/x", "", `404 {"message":"network x not found"}`},
	} {
		a := d.do(c.method, c.path, c.body, "Content-Type", "application/json")
		assert.Check(t, fmt.Sprint(a.StatusCode, " ", strings.TrimSpace(a.body)) == c.want, "%s %s: %d %s", c.method, c.path, a.StatusCode, a.body)
	}
}

func TestVersionsOutsideTheWindowAreRefused(t *testing.T) {
	d := start(t, Options{}, nil)
	for path, want := range map[string]string{
		"/v1.57/_ping":                    "client version 1.57 is too new. Maximum supported API version is 1.56",
		"/v1.99/nosuch":                   "client version 1.99 is too new. Maximum supported API version is 1.56",
		"/v2.0/_ping":                     "client version 2.0 is too new. Maximum supported API version is 1.56",
		"/v2/_ping":                       "client version 2 is too new. Maximum supported API version is 1.56",
		"/v1.21/images/get":               "client version 1.21 is too old. Minimum supported API version is 1.22, please upgrade your client to a newer version",
		"/v1.22/images/json":              "client version 1.22 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
		"/v1.23/_ping":                    "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
		"/v1/_ping":                       "client version 1 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
		"/v0.99/_ping":                    "client version 0.99 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
		"/v1.x/_ping":                     `invalid client version "1.x": want two numbers as in 1.41`,
		"/v1.4.1/_ping":                   `invalid client version "1.4.1": want two numbers as in 1.41`,
		"/v1.-30/_ping":                   `invalid client version "1.-30": want two numbers as in 1.41`,
		"/v1.999999999999999999999/_ping": `invalid client version "1.999999999999999999999": want two numbers as in 1.41`,
	} {
		a := d.get(path)
		assert.Equal(t, a.StatusCode, 400, path)
		assert.Equal(t, a.message(), want, path)
		assert.Equal(t, a.Header.Get("Api-Version"), "1.56", path)
	}
}

func TestTheOldestVersionCanBeRaised(t *testing.T) {
	d := start(t, Options{MinAPIVersion: "1.44"}, nil)
	assert.Equal(t, d.get("/v1.44/_ping").StatusCode, 200)
	assert.Equal(t, d.get("/v1.22/images/get?names=x").StatusCode, 400)
	a := d.get("/v1.43/_ping")
	assert.Equal(t, a.message(), "client version 1.43 is too old. Minimum supported API version is 1.44, please upgrade your client to a newer version")
}

func TestEveryClassOfErrorHasItsStatus(t *testing.T) {
	var fail error
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.ContainerInspect.Register(eng, func(context.Context, *engine.Job, jobs.ContainerInspectIn) (jobs.ContainerInspectOut, error) {
			return jobs.ContainerInspectOut{}, fail
		})
	})
	for want, err := range map[int]error{
		404: errs.NotFound("No such container: <web>"),
		400: errs.Invalid("bad"),
		409: errs.Conflict("in use"),
		401: errs.As(errdefs.ErrUnauthenticated, errors.New("who are you")),
		403: errs.Forbidden("no"),
		413: errs.TooLarge("too much"),
		429: errs.As(errdefs.ErrResourceExhausted, errors.New("slow down")),
		500: errors.New("broken"),
		501: errs.NotImplemented("later"),
		503: errs.Unavailable("not now"),
	} {
		fail = fmt.Errorf("inspect: %w", err)
		a := d.get("/containers/web/json")
		assert.Equal(t, a.StatusCode, want)
		assert.Equal(t, a.body, `{"message":"`+fail.Error()+`"}`+"\n") // and no \u003c
	}
	fail = context.Canceled
	assert.Equal(t, d.get("/containers/web/json").StatusCode, 503)
	fail = errs.NotModified("already so")
	a := d.get("/containers/web/json")
	assert.Equal(t, a.StatusCode, 304)
	assert.Equal(t, a.body, "")
}

func TestAJobThatNobodyRegisteredIsNotImplemented(t *testing.T) {
	d := start(t, Options{}, nil)
	assert.Equal(t, d.get("/info").StatusCode, 501)
	a := d.do("POST", "/images/create?fromImage=busybox&tag=latest", "")
	assert.Equal(t, a.StatusCode, 501) // not 404: that would mean that no registry has it
	assert.Equal(t, a.message(), "pull: no such job")
	a = d.do("POST", "/build?t=web", "{}", "Content-Type", "application/json")
	assert.Equal(t, a.message(), "build is not available yet in this version of engine")
}

func TestAPanicAnswersAndKillsNothing(t *testing.T) {
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Containers.Register(eng, func(context.Context, *engine.Job, jobs.ContainersIn) (jobs.ContainersOut, error) {
			panic("boom")
		})
		jobs.Logs.Register(eng, func(_ context.Context, job *engine.StreamJob[jobs.LogsOpen], _ jobs.LogsIn) (jobs.LogsOut, error) {
			job.Open(jobs.LogsOpen{})
			panic("boom")
		})
		jobs.Attach.Register(eng, func(_ context.Context, job *engine.StreamJob[jobs.AttachOpen], _ jobs.AttachIn) (jobs.AttachOut, error) {
			job.Open(jobs.AttachOpen{})
			panic("boom")
		})
	})
	a := d.get("/containers/json")
	assert.Equal(t, a.StatusCode, 500)
	assert.Assert(t, strings.Contains(a.message(), "fault of the engine's own"))

	_, err := d.http.Get("http://engine/containers/x/logs?stdout=1")
	if err == nil { // the headers may arrive before the connection breaks
		c := d.dial()
		c.send("GET /containers/x/logs?stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n")
		c.head()
		c.readAll()
	}
	c := d.dial()
	c.send("POST /containers/x/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	c.head()
	c.readAll() // ends: the connection is not left open
	assert.Equal(t, d.get("/_ping").StatusCode, 200)
}

func TestSwarmRoutesSayThatThisIsNoCluster(t *testing.T) {
	d := start(t, Options{}, nil)
	for _, path := range []string{"/swarm", "/nodes", "/services/x", "/tasks", "/secrets/x", "/configs"} {
		a := d.get("/v1.41" + path)
		assert.Equal(t, a.StatusCode, 503, path)
		assert.Equal(t, a.message(), `This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.`)
	}
}

func TestSwarmVerbsAreRefused(t *testing.T) {
	d := start(t, Options{}, nil)
	for path, want := range map[string]string{
		"/swarm/leave": "503 This node is not part of a swarm",
		"/swarm/init":  "501 swarm is not available yet in this version of engine",
	} {
		a := d.postJSON("/v1.41"+path, "{}")
		assert.Equal(t, fmt.Sprint(a.StatusCode, " ", a.message()), want)
	}
	assert.Equal(t, d.postJSON("/services/create", "{}").StatusCode, 503)
}

func TestVolumesAndPluginsAreEmpty(t *testing.T) {
	d := start(t, Options{}, nil)
	assert.Equal(t, d.get("/v1.41/volumes").body, `{"Volumes":[],"Warnings":null}`+"\n")
	assert.Equal(t, d.get("/volumes/x").message(), "get x: no such volume")
	assert.Equal(t, d.get("/plugins").body, "[]\n")
	assert.Equal(t, d.get("/plugins/x/json").message(), `plugin "x" not found`)
}

func TestNamesMayHaveSlashesAndEscapes(t *testing.T) {
	var got string
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.ImageInspect.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.ImageInspectIn) (jobs.ImageInspectOut, error) {
			got = in.Image
			return jobs.ImageInspectOut{}, nil
		})
		jobs.ContainerInspect.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.ContainerInspectIn) (jobs.ContainerInspectOut, error) {
			got = in.Container
			return jobs.ContainerInspectOut{}, nil
		})
	})
	for path, want := range map[string]string{
		"/images/a/b:c/json":               "a/b:c",
		"/v1.41/images/host:5000/a/b/json": "host:5000/a/b",
		"/images/json/json":                "json",
		"/images/a%2Fb%3Ac/json":           "a/b:c",
		"/images/x@sha256:00/json":         "x@sha256:00",
		"/containers/web/json":             "web",
		"/containers/v1.41/json":           "v1.41",
		"/containers/a/b/json":             "a/b",
	} {
		got = ""
		assert.Equal(t, d.get(path).StatusCode, 200, path)
		assert.Equal(t, got, want, path)
	}
}

func TestMistakesInTheQueryNameTheField(t *testing.T) {
	d := start(t, Options{}, func(eng *engine.Engine) { stubContainers(eng) })
	for line, want := range map[string]string{
		"GET /containers/json?limit=x":                                                `invalid value for limit: strconv.Atoi: parsing "x": invalid syntax`,
		"GET /containers/json?filters=x":                                              "invalid filter",
		"GET /containers/json?filters={\"a\":3}":                                      "invalid filter 'a'",
		"GET /containers/json?limit=%zz":                                              `invalid query: invalid URL escape "%zz"`,
		"POST /containers/x/stop?t=soon":                                              `invalid value for t: strconv.Atoi: parsing "soon": invalid syntax`,
		"POST /containers/x/restart?t=1.5":                                            `invalid value for t: strconv.Atoi: parsing "1.5": invalid syntax`,
		"POST /containers/x/resize?h=a&w=1":                                           `invalid value for h: strconv.ParseUint: parsing "a": invalid syntax`,
		"POST /exec/x/resize?h=1":                                                     `invalid value for w: strconv.ParseUint: parsing "": invalid syntax`,
		"POST /containers/x/resize?h=1&w=-1":                                          `invalid value for w: strconv.ParseUint: parsing "-1": invalid syntax`,
		"GET /containers/x/logs":                                                      "Bad parameters: you must choose at least one stream",
		"GET /containers/x/logs?stdout=1&since=yesterday":                             `invalid value for since: strconv.ParseInt: parsing "yesterday": invalid syntax`,
		"GET /containers/x/logs?stdout=1&until=1.x":                                   `invalid value for until: strconv.ParseUint: parsing "x": invalid syntax`,
		"GET /events?until=x":                                                         `invalid value for until: strconv.ParseInt: parsing "x": invalid syntax`,
		"POST /containers/x/wait?condition=rain":                                      `invalid condition: "rain"`,
		"GET /images/x/json?platform=linux":                                           "failed to parse platform: invalid character 'l' looking for beginning of value",
		"GET /images/x/json?platform={}":                                              "both OS and Architecture must be provided",
		"POST /images/load?platform=3":                                                "failed to parse platform: json: cannot unmarshal number into Go value of type v1.Platform",
		`GET /images/x/json?manifests=1&platform={"os":"linux","architecture":"arm"}`: "conflicting options: manifests and platform options cannot both be set",
		`GET /images/x/history?platform={"os":"linux"}`:                               "both OS and Architecture must be provided",
		`DELETE /images/x?platforms={"variant":"v7"}`:                                 "optional platform fields provided, but OS and Architecture are missing",
		"GET /images/json?identity=1":                                                 "conflicting options: identity requires manifests=1",
		"GET /v1.51/images/get?names=x&platform=a&platform=b":                         "multiple platform parameters are not supported in this API version; use API version 1.52 or later",
		"POST /v1.48/images/load?platform=a&platform=b":                               "multiple platform parameters are not supported in this API version; use API version 1.52 or later",
		"POST /images/create":                                                         "fromImage or fromSrc: one of them is needed",
	} {
		method, path, _ := strings.Cut(line, " ")
		a := d.do(method, path, "")
		assert.Equal(t, a.StatusCode, 400, line)
		assert.Equal(t, a.message(), want, line)
	}
}

func TestQueryBooleansFollowDockersRule(t *testing.T) {
	var got bool
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Containers.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.ContainersIn) (jobs.ContainersOut, error) {
			got = in.All
			return jobs.ContainersOut{}, nil
		})
	})
	for text, want := range map[string]bool{
		"": false, "0": false, "no": false, "No": false, "false": false, "FALSE": false, "none": false, "%200%20": false,
		"1": true, "true": true, "yes": true, "x": true, "off": true,
	} {
		assert.Equal(t, d.get("/containers/json?all="+text).body, "[]\n")
		assert.Equal(t, got, want, text)
	}
}

func stubContainers(eng *engine.Engine) {
	jobs.Containers.Register(eng, func(context.Context, *engine.Job, jobs.ContainersIn) (jobs.ContainersOut, error) {
		return jobs.ContainersOut{}, nil
	})
	jobs.Stop.Register(eng, func(context.Context, *engine.Job, jobs.StopIn) (jobs.StopOut, error) { return jobs.StopOut{}, nil })
}

func TestVerbsPassTheirParametersOn(t *testing.T) {
	var got any
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Start.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.StartIn) (jobs.StartOut, error) {
			got = in
			return jobs.StartOut{}, nil
		})
		jobs.Stop.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.StopIn) (jobs.StopOut, error) {
			got = in
			return jobs.StopOut{}, nil
		})
		jobs.Kill.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.KillIn) (jobs.KillOut, error) {
			got = in
			return jobs.KillOut{}, nil
		})
		jobs.Rm.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.RmIn) (jobs.RmOut, error) {
			got = in
			return jobs.RmOut{}, nil
		})
		jobs.Resize.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.ResizeIn) (jobs.ResizeOut, error) {
			got = in
			return jobs.ResizeOut{}, nil
		})
		jobs.ContainerRename.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.ContainerRenameIn) (jobs.ContainerRenameOut, error) {
			got = in
			return jobs.ContainerRenameOut{}, nil
		})
		jobs.Tag.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.TagIn) (jobs.TagOut, error) {
			got = in
			return jobs.TagOut{}, nil
		})
		jobs.ImageDelete.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.ImageDeleteIn) (jobs.ImageDeleteOut, error) {
			got = in
			return jobs.ImageDeleteOut{}, nil
		})
	})
	five, forever := 5, -1
	for _, row := range []struct {
		line   string
		status int
		want   any
	}{
		{"POST /containers/web/start", 204, jobs.StartIn{Container: "web"}},
		{"POST /containers/web/stop", 204, jobs.StopIn{Container: "web"}},
		{"POST /containers/web/stop?t=5&signal=INT", 204, jobs.StopIn{Container: "web", Signal: "INT", Timeout: &five}},
		{"POST /v1.41/containers/web/stop?t=-1&signal=INT", 204, jobs.StopIn{Container: "web", Timeout: &forever}},
		{"POST /containers/web/kill?signal=HUP", 204, jobs.KillIn{Container: "web", Signal: "HUP"}},
		{"DELETE /containers/web?force=1&v=1&link=0", 204, jobs.RmIn{Container: "web", Force: true, RemoveVolumes: true}},
		{"POST /containers/web/resize?h=24&w=80", 200, jobs.ResizeIn{Container: "web", Height: 24, Width: 80}},
		{"POST /containers/web/resize?h=99999&w=4294967295", 200, jobs.ResizeIn{Container: "web", Height: 65535, Width: 65535}},
		{"POST /containers/web/rename?name=db", 204, jobs.ContainerRenameIn{Container: "web", Name: "db"}},
		{"POST /images/a/b:c/tag?repo=x/y&tag=z", 201, jobs.TagIn{Image: "a/b:c", Repository: "x/y", Tag: "z"}},
		{"DELETE /images/a/b?force=1&noprune=1", 200, jobs.ImageDeleteIn{Image: "a/b", Force: true, NoPrune: true}},
	} {
		method, path, _ := strings.Cut(row.line, " ")
		got = nil
		a := d.do(method, path, "")
		assert.Equal(t, a.StatusCode, row.status, row.line)
		assert.DeepEqual(t, got, row.want)
		if row.status == 204 {
			assert.Equal(t, a.body, "")
		}
	}
}

func TestAClientThatGoesDoesNotUndoWhatItAskedFor(t *testing.T) {
	running, release, ended := make(chan bool), make(chan bool), make(chan error)
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Stop.Register(eng, func(ctx context.Context, _ *engine.Job, _ jobs.StopIn) (jobs.StopOut, error) {
			running <- true
			<-release
			ended <- ctx.Err()
			return jobs.StopOut{}, nil
		})
	})
	c := d.dial()
	c.send("POST /containers/x/stop HTTP/1.1\r\nHost: x\r\n\r\n")
	<-running
	c.Close()
	close(release)
	assert.NilError(t, <-ended)
}

func TestAClientThatGoesEndsAQuestion(t *testing.T) {
	running, ended := make(chan bool), make(chan bool)
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Wait.Register(eng, func(ctx context.Context, job *engine.StreamJob[jobs.WaitOpen], _ jobs.WaitIn) (jobs.WaitOut, error) {
			job.Open(jobs.WaitOpen{})
			close(running)
			<-ctx.Done()
			close(ended)
			return jobs.WaitOut{}, ctx.Err()
		})
	})
	c := d.dial()
	c.send("POST /containers/x/wait HTTP/1.1\r\nHost: x\r\n\r\n")
	<-running
	c.Close()
	<-ended
}

func TestTheJobKnowsWhoAsked(t *testing.T) {
	var got string
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Containers.Register(eng, func(_ context.Context, job *engine.Job, _ jobs.ContainersIn) (jobs.ContainersOut, error) {
			got = job.Caller
			return jobs.ContainersOut{Containers: []container.Summary{}}, nil
		})
	})
	d.get("/containers/json")
	assert.Equal(t, got, fmt.Sprintf("unix %d", pid()))
}

func TestPprofIsThereInDebugModeOnly(t *testing.T) {
	d := start(t, Options{Debug: true}, nil)
	for _, path := range []string{"/debug/pprof/", "/v1.48/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline"} {
		assert.Equal(t, d.get(path).StatusCode, http.StatusOK, path)
	}
}

// Each question and what it hands to its job, as the dynamic door would print it.
func TestQuestionsPassTheirParametersOn(t *testing.T) {
	var got any
	d := start(t, Options{MinAPIVersion: "1.40"}, func(eng *engine.Engine) {
		answer(eng, jobs.Containers, &got)
		answer(eng, jobs.ContainerInspect, &got)
		answer(eng, jobs.Top, &got)
		answer(eng, jobs.Restart, &got)
		answer(eng, jobs.Pause, &got)
		answer(eng, jobs.Unpause, &got)
		answer(eng, jobs.ExecInspect, &got)
		answer(eng, jobs.ExecResize, &got)
		answer(eng, jobs.Images, &got)
		answer(eng, jobs.ImageInspect, &got)
		answer(eng, jobs.History, &got)
		answer(eng, jobs.Networks, &got)
		answer(eng, jobs.NetworkInspect, &got)
		answer(eng, jobs.Version, &got)
		answer(eng, jobs.Info, &got)
	})
	for _, row := range []struct{ line, want, body string }{
		{"GET /containers/json?all=1&size=1&limit=3&filters={\"status\":[\"exited\"]}", `{"All":true,"Size":true,"Limit":3,"Filters":{"status":["exited"]}}`, "[]"},
		{"GET /containers/web/json?size=1", `{"Container":"web","Size":true}`, `"Id":""`},
		{"GET /containers/web/top?ps_args=aux", `{"Container":"web","PsArgs":"aux"}`, `{"Processes":null,"Titles":null}`},
		{"POST /containers/web/restart?t=1", `{"Container":"web","Signal":"","Timeout":1}`, ""},
		{"POST /containers/web/pause", `{"Container":"web"}`, ""},
		{"POST /containers/web/unpause", `{"Container":"web"}`, ""},
		{"GET /exec/abc/json", `{"Exec":"abc"}`, `"ExitCode":null`},
		{"POST /exec/abc/resize?h=2&w=3", `{"Exec":"abc","Height":2,"Width":3}`, ""},
		{"GET /images/json?all=1&digests=1&shared-size=1&manifests=1", `{"All":true,"Digests":true,"SharedSize":true,"Manifests":true,"Filters":null}`, "[]"},
		{"GET /v1.40/images/json?filter=busybox", `{"All":false,"Digests":false,"SharedSize":false,"Manifests":false,"Filters":{"reference":["busybox"]}}`, "[]"},
		{`GET /images/a/b/json?platform={"os":"linux","architecture":"arm","variant":"v7"}`, `{"Image":"a/b","Platform":"linux/arm/v7","Builder":false}`, `"Id":""`},
		{"GET /images/a/b/history", `{"Image":"a/b","Platform":""}`, "[]"},
		{"GET /networks?filters={\"name\":{\"x\":true}}", `{"Filters":{"name":["x"]}}`, "[]"},
		{"GET /networks/none?verbose=1&scope=local", `{"Network":"none","Verbose":true,"Scope":"local"}`, `"Containers":{}`},
		{"GET /version", `{}`, `"ApiVersion":"1.56","MinAPIVersion":"1.40"`},
		{"GET /info", `{}`, `"SecurityOptions":null`},
	} {
		method, path, _ := strings.Cut(row.line, " ")
		a := d.do(method, path, "")
		assert.Check(t, a.StatusCode < 300, "%s: %s", row.line, a.body)
		in, err := json.Marshal(got)
		assert.NilError(t, err)
		assert.Equal(t, string(in), row.want, row.line)
		assert.Check(t, strings.Contains(a.body, row.body), "%s: %s", row.line, a.body)
	}
}

// answer registers a job that answers with nothing and keeps what it was given.
func answer[In, Out any](eng *engine.Engine, def engine.Definition[In, Out], got *any) {
	def.Register(eng, func(_ context.Context, _ *engine.Job, in In) (out Out, err error) {
		*got = in
		return out, nil
	})
}
