package progress

import (
	"strings"
	"testing"

	"github.com/moby/moby/api/types/jsonstream"
	"gotest.tools/v3/assert"
)

const pull = `{"status":"Pulling from library/x","id":"latest"}
{"status":"Pulling fs layer","progressDetail":{},"id":"aaa"}
{"status":"Downloading","progressDetail":{"current":1000,"total":4000},"progress":"[=>]","id":"aaa"}
{"status":"Download complete","progressDetail":{},"id":"aaa"}
{"aux":{"ID":"sha256:1"}}
{"stream":"Loaded image: x\n"}
{"status":"Status: done"}
`

func TestPlainOutputLeavesTheBarsOut(t *testing.T) {
	var out strings.Builder
	assert.NilError(t, Show(strings.NewReader(pull), &out, 0))
	assert.Equal(t, out.String(), "latest: Pulling from library/x\naaa: Pulling fs layer\naaa: Download complete\nLoaded image: x\nStatus: done\n")
}

func TestTerminalDrawsOverTheSameLine(t *testing.T) {
	var out strings.Builder
	assert.NilError(t, Show(strings.NewReader(pull), &out, 120))
	assert.Equal(t, out.String(), "latest: Pulling from library/x\n\n"+
		"\x1b[1A\x1b[2K\raaa: Pulling fs layer \r\x1b[1B"+
		"\x1b[1A\x1b[2K\raaa: Downloading [============>"+strings.Repeat(" ", 38)+"]      1kB/4kB\r\x1b[1B"+
		"\x1b[1A\x1b[2K\raaa: Download complete \r\x1b[1B"+
		"Loaded image: x\nStatus: done\n")
}

func TestErrorAmongTheMessages(t *testing.T) {
	in := `{"status":"a"}` + "\n" + `{"errorDetail":{"code":1,"message":"no space"},"error":"no space"}`
	var out strings.Builder
	assert.Error(t, Show(strings.NewReader(in), &out, 0), "no space")
	assert.Equal(t, out.String(), "a\n")
	assert.ErrorContains(t, Show(strings.NewReader("{"), &out, 0), "unexpected EOF")
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		p     jsonstream.Progress
		width int
		want  string
	}{
		{jsonstream.Progress{}, 120, ""},
		{jsonstream.Progress{Current: 5000}, 120, "     5kB"},
		{jsonstream.Progress{Current: 5, Units: "things"}, 120, "5 things"},
		{jsonstream.Progress{Current: 50, Total: 100}, 80, "     50B/100B"},
		{jsonstream.Progress{Current: 200, Total: 100}, 80, "    200B"},
		{jsonstream.Progress{Current: 1, Total: 2, HideCounts: true}, 80, ""},
	} {
		assert.Equal(t, Bar(c.p, c.width), c.want)
	}
}
