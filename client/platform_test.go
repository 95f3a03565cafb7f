package client

import (
	"net/url"
	"runtime"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// Platforms go to the daemon as docker's client has them sent.
func TestPlatformsAreSentWhole(t *testing.T) {
	s := newStandIn(t)
	s.on("GET /images/x/json", answers(200, map[string]string{"Id": "sha256:1"}))
	s.on("GET /images/x/history", answers(200, []int{}))
	s.on("POST /images/x/push", answers(200, map[string]string{"status": "ok"}))
	s.on("POST /images/load", answers(200, map[string]string{"stream": "ok\n"}))
	s.on("GET /images/get", answers(200, nil))
	s.on("DELETE /images/x", answers(200, []int{}))
	for _, row := range []struct {
		line string
		key  string
		want []string
	}{
		{"image inspect --platform linux/arm64/v8 x", "platform", []string{`{"architecture":"arm64","os":"linux","variant":"v8"}`}},
		{"history --platform linux x", "platform", []string{`{"architecture":"` + runtime.GOARCH + `","os":"linux"}`}},
		{"push --platform linux/aarch64 x:1", "platform", []string{`{"architecture":"arm64","os":"linux"}`}},
		{"load --platform linux/amd64,linux/arm/v6", "platform", []string{`{"architecture":"amd64","os":"linux"}`, `{"architecture":"arm","os":"linux","variant":"v6"}`}},
		{"save --platform linux/amd64 --platform linux/s390x x", "platform", []string{`{"architecture":"amd64","os":"linux"}`, `{"architecture":"s390x","os":"linux"}`}},
		{"rmi --platform linux/x86_64 x", "platforms", []string{`{"architecture":"amd64","os":"linux"}`}},
	} {
		code, out, errs := s.run(strings.Fields(row.line)...)
		assert.Equal(t, code, 0, "%s: %s%s", row.line, out, errs)
		asked := s.log()
		_, query, _ := strings.Cut(asked[len(asked)-1], "?")
		q, err := url.ParseQuery(query)
		assert.NilError(t, err)
		assert.DeepEqual(t, q[row.key], row.want)
	}
	before := len(s.log())
	for _, line := range []string{"save --platform a/b/c/d x", "load --platform linux/amd64,b@d", "history --platform / x", "rmi --platform nosuch x"} {
		code, _, errs := s.run(strings.Fields(line)...)
		assert.Equal(t, code, 1, line)
		assert.Check(t, strings.Contains(errs, "invalid platform: "), "%s: %s", line, errs)
	}
	assert.Equal(t, len(s.log()), before)
}
