package supervisor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/logs/jsonfile"
	"github.com/jobengine/engine/supervisor/protocol"
	"github.com/jobengine/engine/supervisor/spool"
)

func TestCutLine(t *testing.T) {
	long := strings.Repeat("x", jsonfile.MaxLine)
	for _, c := range []struct {
		in    string
		line  string
		whole bool
	}{
		{"", "", false},
		{"a", "", false},
		{"\n", "\n", true},
		{"a\nb", "a\n", true},
		{long[1:] + "\n", long[1:] + "\n", true},
		{long, long, false},
		{long + "\n", long, false},
	} {
		line, whole := cutLine([]byte(c.in))
		assert.Equal(t, string(line), c.line)
		assert.Equal(t, whole, c.whole)
	}
}

// split is how dockerd would cut a stream into records.
func split(text string) (out []string) {
	for len(text) > 0 {
		line, _ := cutLine([]byte(text))
		if line == nil {
			return append(out, text)
		}
		out, text = append(out, string(line)), text[len(line):]
	}
	return out
}

// TestLogIsTheSpoolWhateverHappens feeds random pieces, and lets the supervisor
// die at random moments: after the log was written and before the commit, or in
// the middle of a rotation.
func TestLogIsTheSpoolWhateverHappens(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			dir := t.TempDir()
			q := protocol.Create{ID: "c", Run: 1, Log: protocol.Log{Driver: "json-file", Path: filepath.Join(dir, "log")}}
			if seed%2 == 1 {
				q.Log.MaxSizeBytes, q.Log.MaxFiles = 40_000, 10_000
			}
			o, err := newOutput(dir, q)
			assert.NilError(t, err)
			var want [spool.Streams]bytes.Buffer
			for range 60 {
				s := spool.Stream(r.IntN(spool.Streams))
				piece := randomText(r)
				want[s].Write(piece)
				assert.NilError(t, o.spool.Write(s, piece))
				if r.IntN(3) > 0 {
					o.forward(s, false)
				}
				if r.IntN(8) == 0 {
					o = die(t, r, o, dir, q)
				}
			}
			for s := range spool.Stream(spool.Streams) {
				o.spool.End(s)
				o.forward(s, true)
			}
			o = die(t, r, o, dir, q) // and once more when all is done
			o.close()
			var got [spool.Streams][]string
			for _, file := range logFiles(t, q.Log.Path) {
				for _, line := range bytes.SplitAfter(file, []byte("\n")) {
					if len(line) == 0 {
						continue
					}
					var rec struct{ Log, Stream string }
					assert.NilError(t, json.Unmarshal(line, &rec), "%q", line)
					s := spool.Stdout
					if rec.Stream == "stderr" {
						s = spool.Stderr
					}
					got[s] = append(got[s], rec.Log)
				}
			}
			for s := range spool.Stream(spool.Streams) {
				assert.DeepEqual(t, got[s], split(want[s].String()))
			}
		})
	}
}

func randomText(r *rand.Rand) []byte {
	n := r.IntN(100)
	if r.IntN(4) == 0 {
		n = r.IntN(100_000)
	}
	text := make([]byte, n)
	lines := 1 + r.IntN(40_000) // a newline in so many bytes
	for i := range text {
		text[i] = byte('a' + r.IntN(26))
		if r.IntN(lines) == 0 {
			text[i] = '\n'
		}
	}
	return text
}

// die leaves what a killed supervisor may leave, and takes over from it.
func die(t *testing.T, r *rand.Rand, o *output, dir string, q protocol.Create) *output {
	t.Helper()
	var files []func() error
	switch r.IntN(3) {
	case 1: // the log was written, the commit not
		f, err := os.OpenFile(q.Log.Path, os.O_WRONLY|os.O_APPEND, 0)
		assert.NilError(t, err)
		_, err = f.WriteString(`{"log":"again\n","stream":"stdout"}` + "\n" + `{"log":"to`)
		assert.NilError(t, err)
		files = append(files, f.Close)
	case 2: // rotated, and something written, but not committed
		if q.Log.MaxFiles > 1 {
			assert.NilError(t, o.log.Rotate())
			assert.NilError(t, o.log.Write([]byte(`{"log":"again\n"`)))
		}
	}
	for _, f := range files {
		assert.NilError(t, f())
	}
	o.close() // lets go of the files; nothing is written
	o, err := recoverOutput(dir, q)
	assert.NilError(t, err)
	return o
}

func logFiles(t *testing.T, path string) (out [][]byte) {
	t.Helper()
	for n := 0; ; n++ {
		name := path
		if n > 0 {
			name = fmt.Sprintf("%s.%d", path, n)
		}
		text, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			return out
		}
		assert.NilError(t, err)
		out = append([][]byte{text}, out...)
	}
}

func TestOwnCgroupsExist(t *testing.T) {
	for _, dir := range ownCgroups() {
		_, err := os.Stat(filepath.Join(dir, "cgroup.procs"))
		assert.NilError(t, err)
	}
}

func TestValidID(t *testing.T) {
	for _, id := range []string{"a", "A-b_c.9", strings.Repeat("f", 128)} {
		assert.Assert(t, validID(id), id)
	}
	for _, id := range []string{"", ".", "..", ".half", "a/b", "a b", "é", "a\x00", strings.Repeat("f", 129)} {
		assert.Assert(t, !validID(id), id)
	}
}
