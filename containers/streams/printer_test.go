package streams

import (
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/logs/driver"
)

func TestLongLinesAreJoinedAndTimedOnce(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	var out strings.Builder
	p := Printer{Stdout: &out, Stderr: &out, Timestamps: true, Details: true}
	for _, e := range []driver.Entry{
		{Line: []byte("be"), Stream: driver.Stdout, Time: at, Partial: true},
		{Line: []byte("gin\n"), Stream: driver.Stdout, Time: at},
		{Line: []byte("x\n"), Stream: driver.Stderr, Time: at, Attrs: map[string]string{"b": "x y,z", "a": "1"}},
	} {
		assert.NilError(t, p.Print(&e))
	}
	assert.Equal(t, out.String(), "2026-01-02T03:04:05.000006000Z  begin\n2026-01-02T03:04:05.000006000Z a=1,b=x+y%2Cz x\n")
}
