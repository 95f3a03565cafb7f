package table

import (
	"net/netip"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func TestAnAddressThatThereIsNotIsAnEmptyText(t *testing.T) {
	type box struct {
		A, None netip.Addr
		P, Nil  netip.Prefix
		Any     any
		Map     map[string]any
		List    []netip.Addr
	}
	v := box{A: netip.MustParseAddr("10.0.0.2"), P: netip.MustParsePrefix("fd00::2/64"), List: []netip.Addr{{}, netip.IPv6Loopback()}}
	for text, want := range map[string]string{
		"{{.A}} [{{.None}}] {{.P}} [{{.Nil}}]":                                                     "10.0.0.2 [] fd00::2/64 []",
		"{{if .None}}yes{{else}}no{{end}} {{if .A}}yes{{end}}":                                     "no yes",
		"{{if not .None}}{{end}}{{with .Nil}}{{.}}{{else}}none{{end}} {{with .P}}{{.Bits}}{{end}}": "none 64",
		"{{range .List}}[{{.}}]{{end}}":                                                            "[][::1]",
		`{{printf "%s|%v" .None .A}}`:                                                              "|10.0.0.2",
		"{{print .None .A}}{{println .Nil}}":                                                       "10.0.0.2\n",
		"{{$x := .None}}<{{$x}}>{{json .None}}":                                                    `<>""`,
		"{{.Any}} {{.Map.key}} {{index .Map 1}}":                                                   "",
		`{{define "x"}}{{.None}}{{end}}({{template "x" .}})`:                                       "()",
		"{{.A.Is4}} {{len .List}}":                                                                 "true 2",
	} {
		tmpl, err := Parse(text)
		assert.NilError(t, err)
		var b strings.Builder
		err = tmpl.Execute(&b, v)
		if want == "" {
			assert.ErrorContains(t, err, "at <index .Map 1>")
			assert.Equal(t, b.String(), "<no value> <no value> ")
			continue
		}
		assert.NilError(t, err)
		assert.Equal(t, b.String(), want)
	}
}
