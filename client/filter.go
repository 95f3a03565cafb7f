package client

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
)

// filters is the repeatable --filter NAME=VALUE.
type filters map[string]map[string]bool

func (f filters) Type() string { return "filter" }

func (f filters) String() string {
	if len(f) == 0 {
		return ""
	}
	text, _ := json.Marshal(f) // maps of strings always encode
	return string(text)
}

func (f filters) Set(s string) error {
	if s == "" {
		return nil
	}
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return errors.New("bad format of filter (expected name=value)")
	}
	f.add(strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value))
	return nil
}

func (f filters) add(name, value string) {
	if f[name] == nil {
		f[name] = map[string]bool{}
	}
	f[name][value] = true
}

// addTo puts the filters into a request.
func (f filters) addTo(query url.Values) {
	if len(f) > 0 {
		query.Set("filters", f.String())
	}
}
