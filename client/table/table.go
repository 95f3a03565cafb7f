package table

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
)

// Quiet is the format of -q: ids only.
const Quiet = "{{.ID}}"

// Headings maps a row's method to the title of its column.
type Headings map[string]string

// Label gives a column of `{{.Label "com.example.my-key"}}` the title "my key".
func (Headings) Label(name string) string {
	name = name[strings.LastIndex(name, ".")+1:]
	return strings.NewReplacer("-", " ", "_", " ").Replace(name)
}

// Write prints rows. format is a template, "json" for one object a line, or
// "table TEMPLATE" for columns (tabs in the template) under their headings.
func Write[R any](w io.Writer, format string, headings Headings, rows []*R) error {
	columns, isTable := strings.CutPrefix(format, "table")
	text := strings.Trim(columns, " ")
	if !isTable && text == "json" {
		text = "{{json .}}"
	}
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	tmpl, err := Parse(text)
	if err != nil {
		return fmt.Errorf("template parsing error: %w", err)
	}
	var body bytes.Buffer
	for _, row := range rows {
		if err := tmpl.Execute(&body, row); err != nil {
			return fmt.Errorf("template parsing error: %w", err)
		}
		body.WriteByte('\n')
	}
	if !isTable {
		_, err = body.WriteTo(w)
		return err
	}
	var head bytes.Buffer
	if err := tmpl.Funcs(headingFunctions()).Execute(&head, headings); err != nil {
		// A template that computes something has no headings: print what there is.
		head.Reset()
	}
	t := tabwriter.NewWriter(w, 10, 1, 3, ' ', 0)
	head.WriteByte('\n')
	head.WriteTo(t)
	body.WriteTo(t)
	return t.Flush()
}

// Check parses format and runs it once on a row, so that a wrong field is known
// before anything is asked of the daemon.
func Check[R any](format string, row *R) error {
	text, isTable := strings.CutPrefix(format, "table")
	if !isTable && text == "json" {
		return nil
	}
	tmpl, err := Parse(strings.Trim(text, " "))
	if err != nil {
		return fmt.Errorf("failed to parse template: %w", err)
	}
	if err := tmpl.Execute(io.Discard, row); err != nil {
		return fmt.Errorf("failed to execute template: %w", err)
	}
	return nil
}

// JSON encodes a row as an object of its fields: what its exported methods
// return that take no argument. A row type's MarshalJSON calls it.
func JSON(row any) ([]byte, error) {
	v := reflect.ValueOf(row)
	fields := map[string]any{}
	for i := range v.NumMethod() {
		method := v.Method(i)
		if t := method.Type(); t.NumIn() == 0 && t.NumOut() == 1 {
			fields[v.Type().Method(i).Name] = method.Call(nil)[0].Interface()
		}
	}
	return json.Marshal(fields)
}
