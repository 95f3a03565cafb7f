package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

func parse(t *testing.T, text string) (*file, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.parity")
	assert.NilError(t, os.WriteFile(path, []byte(text), 0o600))
	return parseFile(path)
}

func TestTheWholeCorpusIsReadable(t *testing.T) {
	files, err := filepath.Glob("corpus/*.parity")
	assert.NilError(t, err)
	assert.Assert(t, len(files) > 0)
	for _, name := range files {
		f, err := parseFile(name)
		assert.NilError(t, err)
		assert.Assert(t, len(f.Cases) > 0, name)
	}
}

func TestACommandGoesOnUntilTheNextMark(t *testing.T) {
	f, err := parse(t, "% sort\n== one\n% drop a\n$ cat <<END\n line\nEND\n% json\n# comment\n$ two\n\n== next\n$ three\n")
	assert.NilError(t, err)
	assert.Equal(t, len(f.Rules), 1)
	assert.Equal(t, len(f.Cases), 2)
	c := f.Cases[0]
	assert.Equal(t, c.Name(), "x/one")
	assert.Equal(t, len(c.Rules), 1)
	assert.Equal(t, c.Steps[0].Command, "cat <<END\n line\nEND")
	assert.Equal(t, c.Steps[0].Rules[0].Verb, "json")
	assert.Equal(t, c.Steps[1].Command, "two")
	assert.Equal(t, len(c.rules(c.Steps[0])), 3)
}

func TestMistakesInAFileAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"a command outside a case":  "$ x\n",
		"a case without a command":  "== x\n== y\n$ z\n",
		"the same title twice":      "== x\n$ a\n== x\n$ b\n",
		"an unknown directive":      "== x\n$ a\n% nonsense\n",
		"a bad regular expression":  "== x\n$ a\n% drop (\n",
		"known without a reason":    "== x\n$ a\n% known all b\n",
		"known without a test":      "== x\n$ a\n% known all b :: reason\n",
		"a bridge for a case":       "== x\n% bridge\n$ a\n",
		"text that belongs nowhere": "hello\n",
	} {
		_, err := parse(t, text)
		assert.Assert(t, err != nil, name)
	}
}

func TestWhatDiffersFromRunToRunIsHidden(t *testing.T) {
	n := &normaliser{around: surroundings{Work: "/tmp/d/work/1", Dir: "/tmp/d", Socket: "/tmp/d/x.sock", Keep: []string{strings.Repeat("ab", 32)}}}
	for in, want := range map[string]string{
		strings.Repeat("1f", 32):           "<id>",
		"1f2e3d4c5b6a":                     "<id:12>",
		"123456789012":                     "123456789012",
		strings.Repeat("ab", 32):           strings.Repeat("ab", 32),
		"abababababab":                     "abababababab",
		"2024-01-02T03:04:05.678Z x":       "<time> x",
		"0001-01-01T00:00:00Z":             "0001-01-01T00:00:00Z",
		"Up 3 minutes":                     "Up <duration>",
		"About a minute ago":               "<duration> ago",
		"A    B       C":                   "A   B   C",
		"    indent":                       "    indent",
		"open /tmp/d/work/1/x and /tmp/d/": "open <work>/x and <dir>/",
		"See 'engine run --help'.":         "See 'docker run --help'.",
		"engine: Error response":           "docker: Error response",
		"Usage:  engine run":               "Usage:  docker run",
	} {
		assert.Equal(t, n.text(in), want)
	}
}

func TestJSONIsComparedByItsLeavesAndNotByTheirOrder(t *testing.T) {
	assert.Equal(t, flattenAll(`{"b":[1,{"c":null}],"a":{}}`), ".a = {}\n.b[0] = 1\n.b[1].c = null\n")
	assert.Equal(t, flattenAll("no JSON"), "no JSON")
	assert.Equal(t, flattenAll(""), "")
}

// judged compares one step's answers, as with the client docker20.
func judged(t *testing.T, text, want, got string) ([]difference, []string) {
	t.Helper()
	f, err := parse(t, text)
	assert.NilError(t, err)
	c := f.Cases[0]
	d := compare(c, "docker20", []raw{{Stdout: want, Exit: "0"}}, []raw{{Stdout: got, Exit: "0"}}, surroundings{}, surroundings{})
	ours := &side{Client: harness.CLI{Name: "docker20"}}
	return d, missing(f.Cases, []pairing{{ours: ours}}, true)
}

func TestADifferenceThatNoFileListsIsReported(t *testing.T) {
	d, gone := judged(t, "== x\n$ a\n", "same\nold\n", "same\nnew\n")
	assert.Equal(t, len(d), 1)
	assert.Equal(t, d[0].Diff, "  out: same\n- out: old\n+ out: new\n  exit: 0\n")
	assert.Equal(t, len(gone), 0)
}

func TestAMissingEndOfLineIsADifference(t *testing.T) {
	d, _ := judged(t, "== x\n$ a\n", "line\n", "line")
	assert.Equal(t, len(d), 1)
}

func TestAListedDifferenceIsAccepted(t *testing.T) {
	d, gone := judged(t, "== x\n$ a\n% known all old|new :: because (TestX)\n", "same\nold\n", "same\nnew\n")
	assert.Equal(t, len(d), 0)
	assert.Equal(t, len(gone), 0)
}

func TestAListedDifferenceHidesNothingElse(t *testing.T) {
	d, _ := judged(t, "== x\n$ a\n% known all old|new :: because (TestX)\n", "same\nold\n", "other\nnew\n")
	assert.Equal(t, len(d), 1)
}

func TestAListedDifferenceThatIsGoneFails(t *testing.T) {
	d, gone := judged(t, "== x\n$ a\n% known all old|new :: because (TestX)\n", "same\nold\n", "same\nold\n")
	assert.Equal(t, len(d), 0)
	assert.Equal(t, len(gone), 1)
}

func TestAListedDifferenceOfAnotherClientDoesNotCount(t *testing.T) {
	d, gone := judged(t, "== x\n$ a\n% known engine old|new :: because (TestX)\n", "old\n", "new\n")
	assert.Equal(t, len(d), 1)
	assert.Equal(t, len(gone), 0)
}

func TestSortDropAndSub(t *testing.T) {
	d, _ := judged(t, "== x\n$ a\n% sort\n% drop noise\n% sub v[0-9]+ => <v>\n", "b\na\nnoise 1\nv1\n", "a\nv22\nb\n")
	assert.Equal(t, len(d), 0)
}
