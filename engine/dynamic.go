package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
)

// DynamicJob is a job that is put together from words, as a script would:
//
//	job := eng.Job("wait", "web")
//	job.Setenv("Condition", "removed")
//	err := job.Run(ctx)
//
// Arguments fill those fields of the definition's In that are tagged
// `job:"arg"`, in order; a slice takes all that are left. The environment fills
// fields by name. What does not fit is errdefs.ErrInvalidArgument.
type DynamicJob struct {
	eng  *Engine
	name string
	args []string
	env  [][2]string
	opts []RunOption
	out  any
}

// Job starts to put a job together. It never fails: Run does.
func (eng *Engine) Job(name string, args ...string) *DynamicJob {
	return &DynamicJob{eng: eng, name: name, args: args}
}

// Setenv sets a field of the job's input by name. Numbers and booleans are
// written as Go does, lists as one word or a JSON array, all else as JSON.
func (d *DynamicJob) Setenv(key, value string) { d.env = append(d.env, [2]string{key, value}) }

// With adds options of this run: streams, caller.
func (d *DynamicJob) With(opts ...RunOption) *DynamicJob {
	d.opts = append(d.opts, opts...)
	return d
}

// Run runs the job.
func (d *DynamicJob) Run(ctx context.Context) error {
	e, err := d.eng.lookup(d.name)
	if err != nil {
		return err
	}
	in := reflect.New(e.def.in).Elem()
	if err := bindArgs(d.name, in, d.args); err != nil {
		return err
	}
	for _, kv := range d.env {
		if err := bindEnv(d.name, in, kv[0], kv[1]); err != nil {
			return err
		}
	}
	d.out, err = d.eng.run(ctx, d.name, in.Interface(), nil, d.opts)
	return err
}

// Result is the job's result as JSON; "{}" when it has nothing to say.
func (d *DynamicJob) Result() (json.RawMessage, error) { return encode(d.out) }

// Call runs a job with its input given as one JSON object and returns its
// result as JSON. Unknown fields are errdefs.ErrInvalidArgument. Empty input is "{}".
func (eng *Engine) Call(ctx context.Context, name string, input json.RawMessage, opts ...RunOption) (json.RawMessage, error) {
	e, err := eng.lookup(name)
	if err != nil {
		return nil, err
	}
	in := reflect.New(e.def.in)
	if len(bytes.TrimSpace(input)) > 0 {
		dec := json.NewDecoder(bytes.NewReader(input))
		dec.DisallowUnknownFields()
		if err := dec.Decode(in.Interface()); err != nil {
			return nil, invalid("%s: %v", name, err)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return nil, invalid("%s: data after the JSON object", name)
		}
	}
	out, err := eng.run(ctx, name, in.Elem().Interface(), nil, opts)
	if err != nil {
		return nil, err
	}
	return encode(out)
}

func encode(out any) (json.RawMessage, error) {
	if out == nil {
		return json.RawMessage("{}"), nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(buf.Bytes()), nil
}

// argFields lists the fields tagged `job:"arg"` in the order of declaration.
func argFields(t reflect.Type) []reflect.StructField {
	var fields []reflect.StructField
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("job") == "arg" {
			fields = append(fields, f)
		}
	}
	return fields
}

func bindArgs(name string, in reflect.Value, args []string) error {
	var fields []reflect.StructField
	if in.Kind() == reflect.Struct {
		fields = argFields(in.Type())
	}
	for _, f := range fields {
		v := in.FieldByIndex(f.Index)
		if v.Type() == reflect.TypeFor[[]string]() {
			v.Set(reflect.ValueOf(args))
			return nil
		}
		if len(args) == 0 {
			return nil
		}
		if err := bind(v, args[0]); err != nil {
			return invalid("%s: argument %s: %v", name, f.Name, err)
		}
		args = args[1:]
	}
	if len(args) > 0 {
		return invalid("%s: too many arguments: %q", name, args)
	}
	return nil
}

func bindEnv(name string, in reflect.Value, key, value string) error {
	if in.Kind() == reflect.Struct {
		if f, ok := in.Type().FieldByName(key); ok && f.IsExported() {
			if err := bind(in.FieldByIndex(f.Index), value); err != nil {
				return invalid("%s: %s: %v", name, key, err)
			}
			return nil
		}
	}
	return invalid("%s: unknown key %q", name, key)
}

func bind(v reflect.Value, text string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		v.SetBool(b)
		return unquoted(err)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(n)
		return unquoted(err)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		v.SetUint(n)
		return unquoted(err)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.String && !strings.HasPrefix(strings.TrimSpace(text), "[") {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			v.Index(0).SetString(text)
			return nil
		}
	case reflect.Pointer:
		if v.Type().Elem().Kind() != reflect.Struct {
			v.Set(reflect.New(v.Type().Elem()))
			return bind(v.Elem(), text)
		}
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	return dec.Decode(v.Addr().Interface())
}

// unquoted drops the name of strconv's function from its errors.
func unquoted(err error) error {
	var num *strconv.NumError
	if errors.As(err, &num) {
		return invalid("%q: %v", num.Num, num.Err)
	}
	return err
}
