package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/moby/moby/api/pkg/stdcopy"

	"github.com/jobengine/engine/engine"
)

// Whatever a client sends, it gets an answer, and never one that blames us.
func FuzzRequest(f *testing.F) {
	eng := engine.New()
	stubContainers(eng)
	srv := New(eng, Options{Log: quietLog()})
	for _, line := range []string{
		"GET /containers/json?all=1&limit=3&filters={\"a\":{\"b\":true}}", "POST /v1.41/containers/a/b/stop?t=3",
		"GET //", "GET /v1.41", "DELETE /jobs/1", "POST /jobs/job_list?arg=1&env=a=b", "HEAD /_ping", "GET /v1..1/%2e%2e/x",
	} {
		f.Add(line, `{"Image":"a"}`)
	}
	f.Fuzz(func(t *testing.T, line, body string) {
		method, target, _ := strings.Cut(line, " ")
		u, err := url.ParseRequestURI(target)
		if err != nil || method == "" {
			t.Skip()
		}
		req := &http.Request{Method: method, URL: u, Header: http.Header{"Content-Type": {"application/json"}}, Host: "x",
			Body: http.NoBody, ProtoMajor: 1, ProtoMinor: 1}
		if body != "" {
			req = httptest.NewRequest("POST", "/", strings.NewReader(body))
			req.Method, req.URL = method, u
			req.Header.Set("Content-Type", "application/json")
		}
		rec := httptest.NewRecorder()
		srv.ServeHTTP(rec, req)
		if rec.Code == 500 {
			t.Fatalf("%q %q: %s", line, body, rec.Body)
		}
		if rec.Code >= 400 && !json.Valid(rec.Body.Bytes()) {
			t.Fatalf("%q: the error is not JSON: %s", line, rec.Body)
		}
	})
}

func FuzzCreateBody(f *testing.F) {
	f.Add(bodyOf2010, 41)
	f.Add(`{"Cmd":"a","HostConfig":null,"NetworkingConfig":{"EndpointsConfig":{"a":null}},"MacAddress":"x"}`, 30)
	f.Add(`{"Image":"a","HostConfig":{"Dns":["x"],"Mounts":[{"BindOptions":null}],"Ulimits":[null]}}`, 56)
	f.Fuzz(func(t *testing.T, body string, v int) {
		req := httptest.NewRequest("POST", "/containers/create", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		w := &response{ResponseWriter: httptest.NewRecorder()}
		in, _, err := decodeCreate(w, &request{Request: req, version: apiVersion(v), form: url.Values{}})
		if err != nil {
			if status(err) >= 500 {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if in.Config == nil || in.HostConfig == nil {
			t.Fatalf("%q: no configuration and no error", body)
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("out"), []byte("err"))
	f.Fuzz(func(t *testing.T, out, err []byte) {
		var wire, gotOut, gotErr bytes.Buffer
		stdout, stderr, _ := multiplex(&wire, false)
		stdout.Write(out)
		stderr.Write(err)
		stdout.Write(out)
		if _, e := stdcopy.StdCopy(&gotOut, &gotErr, &wire); e != nil {
			t.Fatal(e)
		}
		if gotOut.String() != string(out)+string(out) || gotErr.String() != string(err) {
			t.Fatalf("%q %q came back as %q %q", out, err, gotOut.String(), gotErr.String())
		}
	})
}

func FuzzMoment(f *testing.F) {
	f.Add("1136073600.000000001")
	f.Add("-5.x")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = parseMoment(text)
	})
}

func FuzzWords(f *testing.F) {
	f.Add(`"a"`)
	f.Add(`["a",null]`)
	f.Fuzz(func(t *testing.T, text string) {
		var w words
		_ = json.Unmarshal([]byte(text), &w)
	})
}

func FuzzEvent(f *testing.F) {
	f.Add(`{"Type":"container"}`)
	f.Fuzz(func(t *testing.T, line string) {
		w := eventsFor(41, "", &bytes.Buffer{})
		_, _ = w.Write([]byte(line + "\n"))
	})
}
