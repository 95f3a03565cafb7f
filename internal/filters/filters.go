// Package filters holds the filters of list requests: a key with one or more
// wanted values, as in `--filter status=exited --filter label=web`.
//
// On the wire they are a JSON object in one of two shapes, {"key":["v"]} or
// {"key":{"v":true}} (API 1.22 and later).
package filters

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/jobengine/engine/internal/errs"
)

// Args are the wanted values of each key. Several values of a key are
// alternatives, except for labels; several keys must all match.
type Args map[string][]string

// Parse reads the JSON of a request; "" is no filter. A value whose boolean is
// false does not count. Errors have the class invalid.
func Parse(text string) (Args, error) {
	if text == "" {
		return nil, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, errs.Invalid("invalid filter")
	}
	args := make(Args, len(raw))
	for key, value := range raw {
		var list []string
		if err := json.Unmarshal(value, &list); err == nil {
			args[key] = list
			continue
		}
		var set map[string]bool
		if err := json.Unmarshal(value, &set); err != nil {
			return nil, errs.Invalid("invalid filter '%s'", key)
		}
		list = make([]string, 0, len(set))
		for v, on := range set {
			if on {
				list = append(list, v)
			}
		}
		slices.Sort(list)
		args[key] = list
	}
	return args, nil
}

// Check answers with the class invalid if a key is not among those accepted.
func (a Args) Check(accepted ...string) error {
	for key := range a {
		if !slices.Contains(accepted, key) {
			return errs.Invalid("invalid filter '%s'", key)
		}
	}
	return nil
}

// Has tells whether the key is filtered by.
func (a Args) Has(key string) bool { return len(a[key]) > 0 }

// Exact tells whether value is one of those wanted, or nothing is wanted.
func (a Args) Exact(key, value string) bool {
	return !a.Has(key) || slices.Contains(a[key], value)
}

// Any tells whether match holds for one of the wanted values, or nothing is wanted.
func (a Args) Any(key string, match func(want string) bool) bool {
	return !a.Has(key) || slices.ContainsFunc(a[key], match)
}

// Bool reads a key that wants one boolean. Errors have the class invalid.
func (a Args) Bool(key string, unset bool) (bool, error) {
	if !a.Has(key) {
		return unset, nil
	}
	var yes, no bool
	for _, v := range a[key] {
		switch strings.ToLower(v) {
		case "1", "true":
			yes = true
		case "0", "false":
			no = true
		default:
			return false, errs.Invalid("invalid filter '%s=%s'", key, v)
		}
	}
	if yes == no {
		return false, errs.Invalid("invalid filter '%s=[%s]'", key, strings.Join(a[key], " "))
	}
	return yes, nil
}

// Labels tells whether labels has everything that the key wants, each as
// "name" or "name=value".
func (a Args) Labels(key string, labels map[string]string) bool {
	for _, want := range a[key] {
		name, value, withValue := strings.Cut(want, "=")
		have, ok := labels[name]
		if !ok || (withValue && have != value) {
			return false
		}
	}
	return true
}

// Glob tells whether value matches one of the wanted shell patterns, or nothing is wanted.
func (a Args) Glob(key, value string) bool {
	return a.Any(key, func(want string) bool {
		ok, err := path.Match(want, value)
		return err == nil && ok
	})
}
