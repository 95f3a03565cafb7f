package server

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// badField finds the field because of which data is no t, as a path of names,
// and the error of that field alone. encoding/json names a field for some of its
// errors only. This runs for requests that have failed already.
func badField(t reflect.Type, data []byte) (path []string, err error) {
	err = json.Unmarshal(data, reflect.New(t).Interface())
	if err == nil {
		return nil, nil
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case decodesItself(t):
		return nil, err
	case t.Kind() == reflect.Struct:
		var object map[string]json.RawMessage
		if json.Unmarshal(data, &object) != nil {
			return nil, err
		}
		for name, value := range object {
			ft, ok := fieldType(t, name)
			if !ok {
				continue
			}
			if rest, err := badField(ft, value); err != nil {
				return append([]string{name}, rest...), err
			}
		}
	case t.Kind() == reflect.Map:
		var object map[string]json.RawMessage
		if json.Unmarshal(data, &object) != nil {
			return nil, err
		}
		for name, value := range object {
			if rest, err := badField(t.Elem(), value); err != nil {
				return append([]string{name}, rest...), err
			}
		}
	case t.Kind() == reflect.Slice:
		var items []json.RawMessage
		if json.Unmarshal(data, &items) != nil {
			return nil, err
		}
		for _, item := range items {
			if rest, err := badField(t.Elem(), item); err != nil {
				return rest, err
			}
		}
	}
	return nil, err
}

func decodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// fieldType finds the field that encoding/json would use for a name: of those
// that are embedded at different depths the outermost.
func fieldType(t reflect.Type, name string) (reflect.Type, bool) {
	var found []reflect.StructField
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && (strings.EqualFold(tag, name) || tag == "" && !f.Anonymous && strings.EqualFold(f.Name, name)) {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return nil, false
	}
	return slices.MinFunc(found, func(a, b reflect.StructField) int { return len(a.Index) - len(b.Index) }).Type, true
}
