//go:build system

package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/system"
	"gotest.tools/v3/assert"
)

// SIGHUP makes a daemon read its file again. What can change while it runs does,
// an event tells of it, and a bad file changes nothing.
func TestSIGHUPReloadsTheConfiguration(t *testing.T) {
	file := filepath.Join(folder(t), "daemon.json")
	write := func(text string) { assert.NilError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write(`{"labels": ["a=1"]}`)
	e := start(t, "--config-file", file)
	e.load()
	info := func() (i system.Info) {
		assert.NilError(t, e.JSON("GET", "/info", nil, &i))
		return i
	}
	reloads := func() (all []events.Message) {
		_, text, _, err := e.Do("GET", fmt.Sprintf(`/events?since=1&until=%s&filters={"event":["reload"]}`, time.Now().UTC().Format(time.RFC3339Nano)), nil)
		assert.NilError(t, err)
		for line := range strings.Lines(text) {
			var m events.Message
			assert.NilError(t, json.Unmarshal([]byte(line), &m))
			all = append(all, m)
		}
		return all
	}
	assert.DeepEqual(t, info().Labels, []string{"a=1"})
	assert.Equal(t, info().LiveRestoreEnabled, true)
	e.must("run", "-d", "--name", "stays", "--network", "none", "busybox", "sleep", "1000")

	write(`{"labels": ["b=2", "c"], "debug": true}`)
	assert.NilError(t, e.Signal(syscall.SIGHUP))
	eventually(t, "the bad file is refused", func() bool { return strings.Contains(e.Log(), "the configuration stays as it is") })
	assert.DeepEqual(t, info().Labels, []string{"a=1"})
	assert.Equal(t, info().Debug, false)
	assert.Equal(t, len(reloads()), 0)

	write(`{"labels": ["b=2"], "debug": true, "live-restore": false, "insecure-registries": ["there.example:5000"], "registry-mirrors": ["http://127.0.0.1:9"],
		"max-concurrent-downloads": 7, "shutdown-timeout": 20, "gc": {"max-size": "1TB"}, "default-stop-timeout": 3}`)
	assert.NilError(t, e.Signal(syscall.SIGHUP))
	eventually(t, "the event", func() bool { return len(reloads()) == 1 })
	now := info()
	assert.DeepEqual(t, now.Labels, []string{"b=2"})
	assert.Equal(t, now.Debug, true)
	assert.Equal(t, now.LiveRestoreEnabled, false)
	assert.DeepEqual(t, now.RegistryConfig.Mirrors, []string{"http://127.0.0.1:9/"})
	assert.Equal(t, now.RegistryConfig.IndexConfigs["there.example:5000"].Secure, false)
	m := reloads()[0]
	assert.Equal(t, m.Type, events.DaemonEventType)
	assert.Equal(t, m.Actor.ID, now.ID)
	for key, want := range map[string]string{
		"name": now.Name, "labels": `["b=2"]`, "debug": "true", "live-restore": "false", "insecure-registries": `["there.example:5000"]`,
		"registry-mirrors": `["http://127.0.0.1:9/"]`, "max-concurrent-downloads": "7", "max-concurrent-uploads": "5", "shutdown-timeout": "20",
	} {
		assert.Equal(t, m.Actor.Attributes[key], want, key)
	}
	eventually(t, "it is told what waits for a start", func() bool {
		return strings.Contains(e.Log(), "these change with the next start of the daemon only: default-stop-timeout")
	})
	assert.Assert(t, strings.Contains(e.Log(), "changed: debug, gc, insecure-registry, label, live-restore, log-level, max-concurrent-downloads, registry-mirror, shutdown-timeout"), e.Log())
	eventually(t, "debug lines", func() bool { info(); return strings.Contains(e.Log(), "level=debug") })

	// live-restore was true at the start; now containers go with the daemon.
	assert.NilError(t, e.Stop())
	assert.NilError(t, e.Start())
	assert.Equal(t, e.must("inspect", "-f", "{{.State.Status}}", "stays"), "exited")
	e.must("rm", "stays")
}
