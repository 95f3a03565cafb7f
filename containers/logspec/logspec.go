// Package logspec reads the log driver of a container and its options.
package logspec

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	units "github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/containers/runtime"
	"github.com/jobengine/engine/containers/state"
	"github.com/jobengine/engine/internal/errs"
)

// The log drivers that there are.
const (
	JSONFile = "json-file"
	None     = "none"
)

// Check checks a log driver and its options, in docker's words. standard is the driver of those that name none.
func Check(l container.LogConfig, standard string) error {
	switch l.Type {
	case "":
		if len(l.Config) > 0 {
			return Check(container.LogConfig{Type: standard, Config: l.Config}, standard)
		}
		return nil
	case None:
		return nil
	case JSONFile:
	default:
		return errs.Invalid("error looking up logging plugin %s: plugin %q not found", l.Type, l.Type)
	}
	for _, key := range slices.Sorted(maps.Keys(l.Config)) {
		switch key {
		case "max-file", "max-size", "compress", "labels", "labels-regex", "env", "env-regex", "tag":
		case "mode", "max-buffer-size":
		default:
			return errs.Invalid("unknown log opt '%s' for json-file log driver", key)
		}
	}
	switch mode := l.Config["mode"]; mode {
	case "", "blocking", "non-blocking":
	default:
		return errs.Invalid("logger: logging mode not supported: %s", mode)
	}
	for _, key := range []string{"labels-regex", "env-regex"} {
		if _, err := regexp.Compile(l.Config[key]); err != nil {
			return errs.Invalid("invalid value for log opt '%s': %v", key, err)
		}
	}
	_, err := jsonFileSpec(l.Config)
	return err
}

// jsonFileSpec reads the limits of the json-file driver.
func jsonFileSpec(opts map[string]string) (runtime.LogSpec, error) {
	l := runtime.LogSpec{Driver: JSONFile, MaxFiles: 1}
	var err error
	if v, ok := opts["max-size"]; ok && v != "-1" {
		if l.MaxSizeBytes, err = units.FromHumanSize(v); err != nil {
			return l, errs.Invalid("invalid value for log opt 'max-size': %v", err)
		}
		if l.MaxSizeBytes <= 0 {
			return l, errs.Invalid("max-size must be a positive number")
		}
	}
	if v, ok := opts["max-file"]; ok {
		if l.MaxFiles, err = strconv.Atoi(v); err != nil {
			return l, errs.Invalid("invalid value for log opt 'max-file': %q", v)
		}
		if l.MaxFiles < 1 {
			return l, errs.Invalid("max-file cannot be less than 1")
		}
	}
	if v, ok := opts["compress"]; ok {
		if l.Compress, err = strconv.ParseBool(v); err != nil {
			return l, errs.Invalid("invalid value for log opt 'compress': %q", v)
		}
		if l.Compress && (l.MaxFiles < 2 || l.MaxSizeBytes <= 0) {
			return l, errs.Invalid("compress cannot be true when max-file is less than 2 or max-size is not set")
		}
	}
	return l, nil
}

// Of says where the output of a container goes.
func Of(s *state.Snapshot) (runtime.LogSpec, error) {
	conf := s.HostConfig.LogConfig
	if conf.Type != JSONFile {
		return runtime.LogSpec{Driver: None}, nil
	}
	l, err := jsonFileSpec(conf.Config)
	l.Path = s.LogPath
	l.Attrs = attrsOf(s)
	return l, err
}

// attrsOf are the labels and variables that each log line has to carry.
func attrsOf(s *state.Snapshot) map[string]string {
	opts := s.HostConfig.LogConfig.Config
	attrs := map[string]string{}
	pick := func(key, list, pattern, value string) {
		if slices.Contains(strings.Split(list, ","), key) {
			attrs[key] = value
			return
		}
		if pattern == "" {
			return
		}
		if re, err := regexp.Compile(pattern); err == nil && re.MatchString(key) {
			attrs[key] = value
		}
	}
	if opts["labels"] != "" || opts["labels-regex"] != "" {
		for k, v := range s.Config.Labels {
			pick(k, opts["labels"], opts["labels-regex"], v)
		}
	}
	if opts["env"] != "" || opts["env-regex"] != "" {
		for _, kv := range s.Config.Env {
			if k, v, ok := strings.Cut(kv, "="); ok {
				pick(k, opts["env"], opts["env-regex"], v)
			}
		}
	}
	if tag := opts["tag"]; tag != "" {
		attrs["tag"] = expandTag(tag, s)
	}
	if len(attrs) == 0 {
		return nil
	}
	return attrs
}

// expandTag fills in the markup of --log-opt tag that has no conditions.
func expandTag(tag string, s *state.Snapshot) string {
	return strings.NewReplacer(
		"{{.ID}}", s.ID[:12], "{{.FullID}}", s.ID, "{{.Name}}", s.Name,
		"{{.ImageID}}", strings.TrimPrefix(s.ImageID, "sha256:")[:min(12, len(strings.TrimPrefix(s.ImageID, "sha256:")))],
		"{{.ImageFullID}}", s.ImageID, "{{.ImageName}}", s.Config.Image, "{{.DaemonName}}", "engine",
	).Replace(tag)
}
