package detachkeys

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"
)

func TestParseKnowsControlKeysAndPlainCharacters(t *testing.T) {
	for text, want := range map[string][]byte{
		"":                     {16, 17},
		"ctrl-p,ctrl-q":        {16, 17},
		"ctrl-@,ctrl-[":        {0, 27},
		`ctrl-\,ctrl-],ctrl-^`: {28, 29, 30},
		"ctrl-_,DEL":           {31, 127},
		"a,b,ctrl-a":           {'a', 'b', 1},
		"~":                    {'~'},
	} {
		got, err := Parse(text)
		assert.NilError(t, err, text)
		assert.DeepEqual(t, got, want)
	}
}

func TestParseRefusesWhatIsNoKey(t *testing.T) {
	for _, text := range []string{"ctrl-", "ctrl-P", "ctrl-ab", "ctrl-1", "a,", ",", "foo", "DEL2", "ctrl-p,,ctrl-q", "ctrl-`"} {
		_, err := Parse(text)
		assert.Assert(t, errdefs.IsInvalidArgument(err), text)
		assert.Error(t, err, "Invalid detach keys ("+text+") provided")
	}
}

func TestReaderFindsTheKeysAnywhere(t *testing.T) {
	rows := []struct {
		why, keys, typed, passed string
		detached                 bool
	}{
		{"alone", "PQ", "PQ", "", true},
		{"after text", "PQ", "lsPQ", "ls", true},
		{"and nothing after them", "PQ", "lsPQrm", "ls", true},
		{"broken off is replayed", "PQ", "aPb", "aPb", false},
		{"broken off at the end is replayed", "PQ", "aP", "aP", false},
		{"the first key twice", "PQ", "PPQ", "P", true},
		{"an overlap with itself", "aab", "aaab", "a", true},
		{"an overlap in the middle", "abac", "ababac", "ab", true},
		{"wrong order", "PQ", "QP", "QP", false},
		{"one key", "x", "abxc", "ab", true},
		{"no keys, no detaching", "", "abc", "abc", false},
		{"no input", "PQ", "", "", false},
	}
	for _, row := range rows {
		for name, split := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytewise": iotest.OneByteReader,
			"halves": iotest.HalfReader, "data with error": iotest.DataErrReader,
		} {
			t.Run(row.why+"/"+name, func(t *testing.T) {
				got, err := io.ReadAll(NewReader(split(strings.NewReader(row.typed)), []byte(row.keys)))
				assert.Equal(t, string(got), row.passed)
				assert.Equal(t, errors.Is(err, ErrDetached), row.detached)
			})
		}
	}
}

func TestReaderFitsAnyBuffer(t *testing.T) {
	r := NewReader(strings.NewReader("PPPPxPQ"), []byte("PQ"))
	got, err := io.ReadAll(iotest.OneByteReader(r))
	assert.Equal(t, string(got), "PPPPx")
	assert.Assert(t, errors.Is(err, ErrDetached))
}

func TestReaderPassesTheErrorOfItsSource(t *testing.T) {
	broken := errors.New("broken")
	r := NewReader(io.MultiReader(strings.NewReader("aP"), iotest.ErrReader(broken)), []byte("PQ"))
	got, err := io.ReadAll(r)
	assert.Equal(t, string(got), "aP")
	assert.Assert(t, errors.Is(err, broken))
}

func FuzzReaderAgreesWithASearchOfTheWhole(f *testing.F) {
	f.Add([]byte("lsPPQrm"), []byte("PQ"), 1)
	f.Add([]byte("ababac"), []byte("abac"), 2)
	f.Fuzz(func(t *testing.T, typed, keys []byte, size int) {
		if len(keys) == 0 || size < 1 || size > 64 {
			t.Skip()
		}
		want, _, found := bytes.Cut(typed, keys)
		r := NewReader(bytes.NewReader(typed), keys)
		var got []byte
		buf := make([]byte, size)
		var err error
		for err == nil {
			var n int
			n, err = r.Read(buf)
			got = append(got, buf[:n]...)
		}
		assert.Equal(t, errors.Is(err, ErrDetached), found)
		assert.Assert(t, bytes.Equal(got, want), "%q", got)
	})
}

func FuzzParse(f *testing.F) {
	f.Add("ctrl-p,ctrl-q")
	f.Add("a,DEL,ctrl-^")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := Parse(text)
		if err == nil {
			assert.Assert(t, len(keys) > 0)
		}
	})
}
