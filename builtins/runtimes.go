package builtins

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jobengine/engine/internal/cgroupnames"
	"github.com/jobengine/engine/supervisor/protocol"
)

// Runtime is an OCI runtime's program that containers may name. It is the exec
// driver oci under a further name.
type Runtime struct {
	Path string   // or its name on PATH
	Args []string // global ones, before the runtime's verb
}

// stockRuntime is what docker calls the runtime that is there without any
// configuration. Here it stands for the exec driver.
const stockRuntime = "runc"

// ExecOptions are the options of exec drivers, by driver, and what is the
// daemon's own among them.
type ExecOptions struct {
	CgroupDriver string // of package cgroupnames; "" is the one that is right here
	Drivers      map[string]map[string]string
}

// ParseExecOptions takes DRIVER.KEY=VALUE apart. A later value replaces an earlier one.
func ParseExecOptions(options []string) (ExecOptions, error) {
	parsed := ExecOptions{Drivers: map[string]map[string]string{}}
	for _, option := range options {
		key, value, hasValue := strings.Cut(option, "=")
		driver, key, hasDriver := strings.Cut(strings.TrimSpace(key), ".")
		if !hasValue || !hasDriver || driver == "" || key == "" {
			return parsed, fmt.Errorf("exec-opt: %q is not of the form DRIVER.KEY=VALUE", option)
		}
		value = strings.TrimSpace(value)
		// Docker's one option. It holds for all drivers, as it says what containers' cgroups are called.
		if strings.EqualFold(driver+"."+key, "native.cgroupdriver") {
			if err := cgroupnames.Check(value); err != nil {
				return parsed, err
			}
			parsed.CgroupDriver = value
			continue
		}
		if parsed.Drivers[driver] == nil {
			parsed.Drivers[driver] = map[string]string{}
		}
		parsed.Drivers[driver][key] = value
	}
	return parsed, nil
}

// CheckRuntime says whether a runtime may have this name and be this, in docker's words.
func CheckRuntime(name string, r Runtime) error {
	switch {
	case name == stockRuntime:
		return fmt.Errorf("runtime name 'runc' is reserved")
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" || strings.HasPrefix(name, ".") || name == "":
		return fmt.Errorf("invalid runtime name: %q", name)
	case r.Path == "":
		return fmt.Errorf("runtime %s: a path must be configured", name)
	}
	return nil
}

// settle replaces what the configuration leaves open by what holds, and lists
// the exec drivers that the supervisor has to open.
func (set *Set) settle(cfg *Config) ([]protocol.Driver, error) {
	stock, err := set.Exec.Get(cfg.ExecDriver)
	if err != nil || stock == nil {
		return nil, err
	}
	options, err := ParseExecOptions(cfg.ExecOpts)
	if err != nil {
		return nil, err
	}
	if cfg.CgroupDriver, err = cgroupnames.Pick(options.CgroupDriver); err != nil {
		return nil, err
	}
	if cfg.CgroupParent == "" {
		cfg.CgroupParent = cgroupnames.DefaultParent(cfg.CgroupDriver)
	}
	if err := cgroupnames.CheckParent(cfg.CgroupDriver, cfg.CgroupParent); err != nil {
		return nil, err
	}
	var drivers []protocol.Driver
	for _, name := range slices.Sorted(maps.Keys(options.Drivers)) {
		if _, err := set.Exec.Get(name); err != nil {
			return nil, fmt.Errorf("exec-opt: %w", err)
		}
		drivers = append(drivers, protocol.Driver{Name: name, Kind: name, Options: options.Drivers[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Runtimes)) {
		r := cfg.Runtimes[name]
		if err := CheckRuntime(name, r); err != nil {
			return nil, err
		}
		if _, err := set.Exec.Get(name); err == nil {
			return nil, fmt.Errorf("runtime name '%s' is reserved: there is an exec driver of that name", name)
		}
		options := map[string]string{"path": r.Path}
		if len(r.Args) > 0 {
			args, err := json.Marshal(r.Args)
			if err != nil {
				return nil, err
			}
			options["args"] = string(args)
		}
		drivers = append(drivers, protocol.Driver{Name: name, Kind: "oci", Options: options})
	}
	switch {
	case cfg.DefaultRuntime == "" || cfg.DefaultRuntime == stockRuntime:
		cfg.DefaultRuntime = cfg.ExecDriver
	case !slices.Contains(cfg.runtimes(set), cfg.DefaultRuntime):
		return nil, fmt.Errorf("specified default runtime '%s' does not exist", cfg.DefaultRuntime)
	}
	return drivers, nil
}

// runtimes are the names that a container may have as its runtime, besides runc.
func (cfg *Config) runtimes(set *Set) []string {
	return append(set.Exec.Names(), slices.Sorted(maps.Keys(cfg.Runtimes))...)
}
