package registry

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	api "github.com/moby/moby/api/types/registry"
	"gotest.tools/v3/assert"
)

// An index of version 1 is asked as docker does, and its answer is handed on.
func TestSearchAsksTheIndex(t *testing.T) {
	const answer = `{"query":"tool","num_results":2,"results":[
		{"name":"team/tool","description":"A tool\u001b[31m","star_count":7,"is_official":true,"is_automated":false},
		{"name":"b/tool","description":"","star_count":0,"is_official":false,"is_automated":true}]}`
	var asked []*http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/search" {
			http.NotFound(w, r)
			return
		}
		asked = append(asked, r)
		switch user, password, _ := r.BasicAuth(); {
		case r.URL.Query().Get("q") == "broken":
			w.Write([]byte(`{"results":`))
		case r.URL.Query().Get("q") == "secret" && user+":"+password != "me:pw":
			http.Error(w, "no", http.StatusUnauthorized)
		case r.URL.Query().Get("q") == "busy" && len(asked) < 3:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(answer))
		}
	}))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	c, err := New(Config{CertDirs: []string{}, UserAgent: "test", Wait: time.Millisecond})
	assert.NilError(t, err)
	search := func(term string, creds *api.AuthConfig) (*api.SearchResults, error) {
		asked = nil
		return c.Search(context.Background(), host+"/"+term, 25, creds)
	}

	found, err := search("library/tool", nil)
	assert.NilError(t, err)
	assert.Equal(t, len(asked), 1)
	assert.Equal(t, asked[0].URL.RawQuery, "n=25&q=tool")
	assert.Equal(t, asked[0].Header.Get("User-Agent"), "test")
	assert.Equal(t, asked[0].Header.Get("Authorization"), "")
	var want api.SearchResults
	assert.NilError(t, json.Unmarshal([]byte(answer), &want))
	want.Results[0].Description = "A tool[31m" // nothing that a terminal obeys
	assert.DeepEqual(t, *found, want)

	found, err = search("secret", &api.AuthConfig{Username: "me", Password: "pw"})
	assert.NilError(t, err)
	assert.Equal(t, found.NumResults, 2)
	_, err = search("secret", nil)
	assert.Error(t, err, "Unexpected status code 401")

	_, err = search("busy", nil)
	assert.NilError(t, err)
	assert.Equal(t, len(asked), 3)
	_, err = search("broken", nil)
	assert.ErrorContains(t, err, "error decoding the registry's answer: unexpected end of JSON input")
	_, err = search("", nil)
	assert.ErrorContains(t, err, "invalid search term")
}
