package table

import (
	"bytes"
	"encoding/json"
	"strings"
	"text/template"
	"unicode"
)

// Parse makes a template with docker's functions: json split join title lower
// upper pad truncate, beside Go's own.
func Parse(text string) (*template.Template, error) {
	t, err := template.New("").Funcs(functions()).Funcs(shownFunctions()).Parse(text)
	if err != nil {
		return nil, err
	}
	return showing(t), nil
}

func functions() template.FuncMap {
	return template.FuncMap{
		"json":     jsonLine,
		"split":    strings.Split,
		"join":     strings.Join,
		"title":    title,
		"lower":    strings.ToLower,
		"upper":    strings.ToUpper,
		"pad":      pad,
		"truncate": truncate,
	}
}

// headingFunctions leave a column's heading alone where functions would change its value.
func headingFunctions() template.FuncMap {
	same := func(s string) string { return s }
	return template.FuncMap{
		"json":     same,
		"split":    func(s, _ string) string { return s },
		"join":     func(s, _ string) string { return s },
		"title":    same,
		"lower":    same,
		"upper":    same,
		"truncate": func(s string, _ int) string { return s },
	}
}

func jsonLine(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}

// title raises the first letter of each word.
func title(s string) string {
	begin := true
	return strings.Map(func(r rune) rune {
		if begin {
			r = unicode.ToTitle(r)
		}
		begin = !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '\''
		return r
	}, s)
}

// pad puts spaces around a text that is not empty.
func pad(s string, before, after int) string {
	if s == "" {
		return s
	}
	return strings.Repeat(" ", before) + s + strings.Repeat(" ", after)
}

func truncate(s string, length int) string {
	if len(s) < length {
		return s
	}
	return s[:length]
}
