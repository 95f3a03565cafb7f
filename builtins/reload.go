package builtins

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	api "github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/events"
	"github.com/jobengine/engine/images"
	"github.com/jobengine/engine/images/registry"
	"github.com/jobengine/engine/system"
)

// Reload makes those settings hold that can change while the engine runs: labels,
// debug (what info says of it), live-restore, all that concerns registries and
// transfers, and garbage. After an error nothing has changed.
func (set *Set) Reload(cfg Config) error {
	reload := set.reload.Load()
	if reload == nil {
		return errors.New("the engine is not up yet")
	}
	return (*reload)(cfg)
}

func (set *Set) onReload(id string, bus *events.Events, img *images.Images, sys *system.System, keep *atomic.Bool) {
	reload := func(cfg Config) error {
		regs, err := cfg.Registries.client()
		if err != nil {
			return err
		}
		gc := DefaultGC()
		if cfg.GC != nil {
			gc = *cfg.GC
		}
		img.Configure(images.Live{Registry: regs, Downloads: cfg.Registries.Downloads, Uploads: cfg.Registries.Uploads, DownloadAttempts: cfg.Registries.Attempts, GC: gc})
		sys.Configure(cfg.live(regs))
		keep.Store(cfg.LiveRestore)
		bus.Log(api.DaemonEventType, api.ActionReload, id, cfg.reloaded())
		return nil
	}
	set.reload.Store(&reload)
}

func (cfg Config) live(regs *registry.Client) system.Live {
	return system.Live{Labels: cfg.Labels, Debug: cfg.Debug, LiveRestore: cfg.LiveRestore, Registries: regs.ServiceConfig()}
}

// reloaded are docker's attributes of the event.
func (cfg Config) reloaded() map[string]string {
	host, _ := os.Hostname()
	list := func(items []string) string {
		if items == nil {
			items = []string{}
		}
		text, _ := json.Marshal(items) // strings always encode
		return string(text)
	}
	runtimes := []string{stockRuntime + ":" + stockRuntime}
	for _, name := range slices.Sorted(maps.Keys(cfg.Runtimes)) {
		runtimes = append(runtimes, name+":"+cfg.Runtimes[name].Path)
	}
	defaultRuntime := cfg.DefaultRuntime
	if defaultRuntime == "" {
		defaultRuntime = stockRuntime
	}
	return map[string]string{
		"name":                     host,
		"debug":                    strconv.FormatBool(cfg.Debug),
		"labels":                   list(cfg.Labels),
		"live-restore":             strconv.FormatBool(cfg.LiveRestore),
		"default-runtime":          defaultRuntime,
		"runtimes":                 strings.Join(runtimes, " "),
		"default-shm-size":         fmt.Sprint(cfg.DefaultShmSizeBytes),
		"insecure-registries":      list(cfg.Registries.Insecure),
		"registry-mirrors":         list(cfg.Registries.Mirrors["docker.io"]),
		"max-concurrent-downloads": strconv.Itoa(cfg.Registries.Downloads),
		"max-concurrent-uploads":   strconv.Itoa(cfg.Registries.Uploads),
		"max-download-attempts":    strconv.Itoa(cfg.Registries.Attempts),
		"shutdown-timeout":         strconv.Itoa(int(cfg.ShutdownTimeout / time.Second)),
	}
}
