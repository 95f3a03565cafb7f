package daemon

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"github.com/jobengine/engine/builtins"
)

// reloadable are the flags whose value SIGHUP changes in a running daemon.
var reloadable = map[string]bool{
	"debug": true, "log-level": true, "label": true, "live-restore": true, "shutdown-timeout": true, "gc": true,
	"insecure-registry": true, "registry-mirror": true, "mirror": true,
	"max-concurrent-downloads": true, "max-concurrent-uploads": true, "max-download-attempts": true,
}

// configured is the configuration that holds, and how to come to a newer one.
type configured struct {
	set  *builtins.Set
	log  *logrus.Logger
	args []string

	mu      sync.Mutex
	current *Config
	values  map[string]string // of all flags
}

func newConfigured(set *builtins.Set, log *logrus.Logger, args []string, cfg *Config, flags *pflag.FlagSet) *configured {
	return &configured{set: set, log: log, args: args, current: cfg, values: valuesOf(flags)}
}

func valuesOf(flags *pflag.FlagSet) map[string]string {
	values := map[string]string{}
	flags.VisitAll(func(f *pflag.Flag) { values[f.Name] = f.Value.String() })
	return values
}

func (c *configured) config() *Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// reload reads the configuration file again. A bad one changes nothing. What only
// a start can change is told and keeps the value it has.
func (c *configured) reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh, flags, err := parse(c.args)
	kept := *c.current // and of the new one what can change now
	if err == nil {
		kept.Debug, kept.LogLevel, kept.Labels, kept.LiveRestore = fresh.Debug, fresh.LogLevel, fresh.Labels, fresh.LiveRestore
		kept.ShutdownTimeoutSeconds, kept.Registries, kept.GC = fresh.ShutdownTimeoutSeconds, fresh.Registries, fresh.GC
		err = c.set.Reload(kept.parts(c.log))
	}
	if err != nil {
		c.log.Errorf("SIGHUP: %v; the configuration stays as it is", err)
		return
	}
	if level, err := logrus.ParseLevel(fresh.LogLevel); err == nil { // parse has checked it
		c.log.SetLevel(level)
	}
	values := valuesOf(flags)
	var changed, later []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case values[name] == c.values[name]:
		case reloadable[name]:
			changed = append(changed, name)
			c.values[name] = values[name]
		default:
			later = append(later, name)
		}
	}
	c.current = &kept
	if len(changed) == 0 {
		c.log.Info("SIGHUP: the configuration was read again; nothing has changed")
	} else {
		c.log.Infof("SIGHUP: the configuration was read again; changed: %s", strings.Join(changed, ", "))
	}
	if len(later) > 0 {
		c.log.Warnf("SIGHUP: these change with the next start of the daemon only: %s", strings.Join(later, ", "))
	}
}
