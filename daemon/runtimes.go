package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jobengine/engine/builtins"
	"github.com/jobengine/engine/internal/strictjson"
)

// runtimes is the value of --add-runtime and of the key runtimes, which add up.
type runtimes map[string]builtins.Runtime

func (r *runtimes) Type() string { return "runtime" }

func (r *runtimes) String() string {
	return strings.Join(slices.Sorted(maps.Keys(*r)), ", ")
}

// Set takes NAME=PATH.
func (r *runtimes) Set(text string) error {
	name, path, ok := strings.Cut(text, "=")
	name, path = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(path)
	if !ok || name == "" || path == "" {
		return fmt.Errorf("invalid runtime argument: %s", text)
	}
	return r.add(name, builtins.Runtime{Path: path})
}

func (r *runtimes) add(name string, runtime builtins.Runtime) error {
	if err := builtins.CheckRuntime(name, runtime); err != nil {
		return err
	}
	if _, ok := (*r)[name]; ok {
		return fmt.Errorf("runtime '%s' was already defined", name)
	}
	if *r == nil {
		*r = runtimes{}
	}
	(*r)[name] = runtime
	return nil
}

// SetJSON takes the object of the configuration file.
func (r *runtimes) SetJSON(text []byte) error {
	if len(text) == 0 || text[0] != '{' {
		return fmt.Errorf("%s is not an object", text)
	}
	if err := strictjson.Check(text, 0); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		var entry struct {
			Path        string          `json:"path"`
			RuntimeArgs []string        `json:"runtimeArgs"`
			RuntimeType string          `json:"runtimeType"`
			Options     json.RawMessage `json:"options"`
		}
		dec := json.NewDecoder(bytes.NewReader(all[name]))
		dec.DisallowUnknownFields()
		err := dec.Decode(&entry)
		if err == nil && (entry.RuntimeType != "" || entry.Options != nil) {
			err = errors.New("runtimeType and options are for containerd's shims: give a path")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := r.add(name, builtins.Runtime{Path: entry.Path, Args: entry.RuntimeArgs}); err != nil {
			return err
		}
	}
	return nil
}
