package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jobengine/engine/internal/strictjson"
)

// program is a runtime: the file, or its name on PATH, and the arguments that
// go before the verb. A container keeps the one that made it, as another
// runtime could not read its state.
type program struct {
	Path string
	Args []string `json:",omitempty"`
}

// setOptions takes "path", and "args": words, or a JSON array of strings where
// a word has blanks in it.
func (p *program) setOptions(options map[string]string) error {
	for name, value := range options {
		switch {
		case name == "path" && value != "":
			p.Path = value
		case name == "path":
			return errors.New("oci: the option path is empty")
		case name == "args" && strings.HasPrefix(value, "["):
			err := strictjson.Check([]byte(value), 0)
			if err == nil {
				err = json.Unmarshal([]byte(value), &p.Args)
			}
			if err != nil {
				return fmt.Errorf("oci: option args: %w", err)
			}
		case name == "args":
			p.Args = strings.Fields(value)
		default:
			return fmt.Errorf("oci: unknown option %s=%q", name, value)
		}
	}
	return nil
}

func (d *Driver) programPath(id string) string { return filepath.Join(d.dir(id), "runtime.json") }

// programOf gives the runtime that made a container.
func (d *Driver) programOf(id string) program {
	var p program
	text, err := os.ReadFile(d.programPath(id))
	if err != nil || json.Unmarshal(text, &p) != nil || p.Path == "" {
		return d.program // a Create that was killed at its beginning
	}
	return p
}
