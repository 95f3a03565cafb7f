package strictjson

import (
	"encoding/json"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func TestAmbiguousDocumentsAreRefused(t *testing.T) {
	for doc, text := range map[string]string{
		``:                              "EOF",
		`1`:                             "not a JSON object or array",
		`null`:                          "not a JSON object or array",
		`{`:                             "EOF",
		`{"a":1`:                        "EOF",
		`{"a":1}x`:                      "after the end",
		`{} {}`:                         "after the end",
		`{"a":1,"a":2}`:                 `key "a" is given twice`,
		`{"a":1,"A":2}`:                 `key "A" is given twice`,
		`{"s":1,"ſ":2}`:                 `key "ſ" is given twice`,
		`[{"a":1},{"b":{"c":1,"c":2}}]`: `key "c" is given twice`,
		`{"x":{"y":{"a":1,"a":2}}}`:     `key "a" is given twice`,
		strings.Repeat("[", 300) + strings.Repeat("]", 300): "nested more than 200 deep",
	} {
		assert.ErrorContains(t, Check([]byte(doc), 2), text)
	}
	for _, doc := range []string{`{}`, `[]`, ` {"a":{"x":{"b":1,"B":2}},"b":[1,"a",null,true]} `, `[{"a":1},{"a":1}]`} {
		assert.NilError(t, Check([]byte(doc), 2), doc)
	}
	assert.NilError(t, Check([]byte(`{"a":1,"A":2}`), 0))
}

// What passes is one document for encoding/json too.
func FuzzCheck(f *testing.F) {
	f.Add(`{"a":[1,{"b":null}]}`)
	f.Add(`{"a":1,"a":2}`)
	f.Fuzz(func(t *testing.T, doc string) {
		if Check([]byte(doc), 2) == nil {
			assert.Assert(t, json.Valid([]byte(doc)))
		}
	})
}
