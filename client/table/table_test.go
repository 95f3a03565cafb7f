package table

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

type row struct{ id, name string }

func (r *row) ID() string                   { return r.id }
func (r *row) Name() string                 { return r.name }
func (r *row) Label(key string) string      { return key + "!" }
func (r *row) MarshalJSON() ([]byte, error) { return JSON(r) }

func write(t *testing.T, format string) string {
	t.Helper()
	var out strings.Builder
	err := Write(&out, format, Headings{"ID": "THE ID", "Name": "NAME"}, []*row{{"1", "one"}, {"2", "t<w>o"}})
	assert.NilError(t, err)
	return out.String()
}

func TestWrite(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"{{.ID}}", "1\n2\n"},
		{`{{.ID}}\t{{.Name}}\n`, "1\tone\n\n2\tt<w>o\n\n"},
		{"json", `{"ID":"1","Name":"one"}` + "\n" + `{"ID":"2","Name":"t\u003cw\u003eo"}` + "\n"},
		{"{{json .Name}}", "\"one\"\n\"t<w>o\"\n"},
		{"table {{.ID}}\t{{.Name}}", "THE ID    NAME\n1         one\n2         t<w>o\n"},
		{`table {{.ID}}\t{{.Label "com.example.my-key"}}`, "THE ID    my key\n1         com.example.my-key!\n2         com.example.my-key!\n"},
		{"table {{upper .Name}}\t{{truncate .Name 2}}", "NAME      NAME\nONE       on\nT<W>O     t<\n"},
		{"{{pad .ID 1 2}}|{{title .Name}}|{{lower .Name}}|{{join (split .Name \"n\") \"-\"}}", " 1  |One|one|o-e\n 2  |T<W>O|t<w>o|t<w>o\n"},
		{"{{println .ID}}", "1\n\n2\n\n"},
	} {
		assert.Equal(t, write(t, c.format), c.want, c.format)
	}
}

func TestWriteRefusesAWrongTemplate(t *testing.T) {
	var out strings.Builder
	err := Write(&out, "{{.Nope}}", nil, []*row{{}})
	assert.ErrorContains(t, err, "template parsing error: template: :1:2: executing")
	assert.ErrorContains(t, Write(&out, "{{", nil, []*row{}), "template parsing error: template: :1: unclosed action")
	assert.ErrorContains(t, Check("{{", &row{}), "failed to parse template")
	assert.ErrorContains(t, Check("table {{.Nope}}", &row{}), "failed to execute template")
	assert.NilError(t, Check("json", &row{}))
}

func TestObjects(t *testing.T) {
	type state struct{ Running bool }
	type thing struct {
		Name  string
		State *state
	}
	raw := []byte(`{"Name":"a","State":{"Running":true},"Extra":{"n":12345678901234567890}}` + "\n")
	for _, c := range []struct{ format, want, err string }{
		{"", "[\n    {\n        \"Name\": \"a\",\n        \"State\": {\n            \"Running\": true\n        },\n        \"Extra\": {\n            \"n\": 12345678901234567890\n        }\n    }\n]\n", ""},
		{"json", `[{"Name":"a","State":{"Running":true},"Extra":{"n":12345678901234567890}}]` + "\n", ""},
		{"{{.Name}} {{.State.Running}}", "a true\n", ""},
		{"{{.Extra.n}}", "12345678901234567890\n", ""},
		{"{{.Nope}}", "\n", `template parsing error: template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope"`},
	} {
		o, err := NewObjects(c.format)
		assert.NilError(t, err)
		err = o.Add(&thing{Name: "a", State: &state{Running: true}}, raw)
		if c.err != "" {
			assert.Error(t, err, c.err)
		} else {
			assert.NilError(t, err)
		}
		var out strings.Builder
		assert.NilError(t, o.Flush(&out))
		assert.Equal(t, out.String(), c.want)
	}
}

func TestNothingFoundIsAnEmptyList(t *testing.T) {
	o, err := NewObjects("")
	assert.NilError(t, err)
	var out strings.Builder
	assert.NilError(t, o.Flush(&out))
	assert.Equal(t, out.String(), "[]\n")
}

func TestUnits(t *testing.T) {
	assert.Equal(t, Size(0), "0B")
	assert.Equal(t, Size(1983930), "1.98MB")
	assert.Equal(t, ShortID("sha256:0123456789abcdef"), "0123456789ab")
	assert.Equal(t, ShortID("0123"), "0123")
	assert.Equal(t, Ellipsis("abcdef", 6), "abcdef")
	assert.Equal(t, Ellipsis("abcdefg", 6), "abcde…")
	assert.Equal(t, Ellipsis("äöüäöü", 6), "äöüäöü")
}
