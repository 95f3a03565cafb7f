package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"github.com/jobengine/engine/builtins"
)

// garbage is --gc: KEY=VALUE, separated by commas. In a file it is an object.
type garbage struct{ builtins.GC }

func (g *garbage) Type() string { return "gc" }

func (g *garbage) String() string {
	var parts []string
	if g.MaxBytes > 0 {
		parts = append(parts, "max-size="+strconv.FormatInt(g.MaxBytes, 10))
	}
	if g.Unused {
		parts = append(parts, "unused=true")
	}
	standard := builtins.DefaultGC()
	if g.KeepFor != standard.KeepFor {
		parts = append(parts, "keep-for="+g.KeepFor.String())
	}
	if g.KeepDownloads != standard.KeepDownloads {
		parts = append(parts, "keep-downloads="+g.KeepDownloads.String())
	}
	return strings.Join(parts, ",")
}

func (g *garbage) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return errors.New("it is KEY=VALUE,…")
		}
		if err := g.set(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (g *garbage) set(key, value string) (err error) {
	switch key {
	case "max-size":
		if g.MaxBytes, err = units.FromHumanSize(value); err == nil && g.MaxBytes < 0 {
			err = errors.New("it is negative")
		}
	case "unused":
		g.Unused, err = strconv.ParseBool(value)
	case "keep-for":
		g.KeepFor, err = notNegative(value)
	case "keep-downloads":
		g.KeepDownloads, err = notNegative(value)
	default:
		return fmt.Errorf("unknown key %q: there are max-size, unused, keep-for, keep-downloads", key)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func notNegative(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil && d < 0 {
		err = errors.New("it is negative")
	}
	return d, err
}

// SetJSON reads the object of the configuration file.
func (g *garbage) SetJSON(data []byte) error {
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		return errors.New(`it is an object such as {"max-size": "20GB", "unused": true}`)
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		var text string
		switch v := object[key].(type) {
		case string:
			text = v
		case bool:
			text = strconv.FormatBool(v)
		case float64:
			text = strconv.FormatFloat(v, 'f', -1, 64)
		default:
			return fmt.Errorf("%s: it is a text, a number or a truth value", key)
		}
		if err := g.set(key, text); err != nil {
			return err
		}
	}
	return nil
}
