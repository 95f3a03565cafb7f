package table

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"text/template"
)

// Objects prints what inspect commands found: an indented JSON array, one
// compact array ("json"), or a template's result for each object.
type Objects struct {
	format string
	tmpl   *template.Template
	raw    [][]byte
	lines  bytes.Buffer
}

// NewObjects fails on a template that cannot be parsed.
func NewObjects(format string) (*Objects, error) {
	o := &Objects{format: format}
	if format == "" || format == "json" {
		return o, nil
	}
	var err error
	if o.tmpl, err = Parse(format); err != nil {
		return nil, fmt.Errorf("template parsing error: %w", err)
	}
	return o, nil
}

// Add takes one object, as its type and as the daemon's own bytes. A template
// runs on the type first; a field that the type does not know is looked up in
// the bytes.
func (o *Objects) Add(typed any, raw []byte) error {
	if o.tmpl == nil {
		o.raw = append(o.raw, bytes.TrimSpace(raw))
		return nil
	}
	var line bytes.Buffer
	if o.tmpl.Execute(&line, typed) != nil {
		line.Reset()
		var untyped any
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if err := dec.Decode(&untyped); err != nil {
			return fmt.Errorf("unable to read inspect data: %w", err)
		}
		strict, err := o.tmpl.Clone()
		if err != nil {
			return err
		}
		if err := strict.Option("missingkey=error").Execute(&line, untyped); err != nil {
			return fmt.Errorf("template parsing error: %w", err)
		}
	}
	line.WriteByte('\n')
	_, err := line.WriteTo(&o.lines)
	return err
}

// Flush prints everything added.
func (o *Objects) Flush(w io.Writer) error {
	if o.tmpl != nil {
		if o.lines.Len() == 0 {
			o.lines.WriteByte('\n')
		}
		_, err := o.lines.WriteTo(w)
		return err
	}
	if len(o.raw) == 0 {
		_, err := io.WriteString(w, "[]\n")
		return err
	}
	array := append([]byte{'['}, bytes.Join(o.raw, []byte{','})...)
	array = append(array, ']')
	var out bytes.Buffer
	var err error
	if o.format == "json" {
		err = json.Compact(&out, array)
	} else {
		err = json.Indent(&out, array, "", "    ")
	}
	if err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = out.WriteTo(w)
	return err
}
