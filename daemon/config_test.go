package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/builtins"
)

func configFile(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "daemon.json")
	assert.NilError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestTheDaemonIsWantedOnlyBeforeTheFirstWord(t *testing.T) {
	for line, want := range map[string]bool{
		"-d":                          true,
		"--daemon":                    true,
		"-D -d":                       true,
		"-Dd":                         true,
		"-H unix:///x -d":             true,
		"-H=unix:///x -d":             true,
		"-Hunix:///d -d":              true,
		"-Hunix:///d ps":              false,
		"--host unix:///x --daemon":   true,
		"--log-level debug -d":        true,
		"--tls -d":                    true,
		"run -d busybox":              false,
		"-H unix:///x run -d busybox": false,
		"":                            false,
		"ps":                          false,
		"-- -d":                       false,
	} {
		assert.Equal(t, Wanted(strings.Fields(line)), want, "%q", line)
	}
}

func TestFlagsAndFileMakeOneConfiguration(t *testing.T) {
	path := configFile(t, `{
		"data-root": "/srv/engine", "hosts": ["unix:///a.sock", "tcp://127.0.0.1:1"], "labels": ["a=1"],
		"live-restore": false, "shutdown-timeout": 3, "default-shm-size": "128m",
		"log-opts": {"max-size": "10m"}, "storage-opts": ["overlay2.size=1"]}`)
	cfg, _, err := parse([]string{"-d", "-D", "--config-file", path, "-s", "vfs"})
	assert.NilError(t, err)
	assert.Equal(t, cfg.DataRoot, "/srv/engine")
	assert.DeepEqual(t, cfg.Hosts, []string{"unix:///a.sock", "tcp://127.0.0.1:1"})
	assert.DeepEqual(t, cfg.Labels, []string{"a=1"})
	assert.Equal(t, cfg.LiveRestore, false)
	assert.Equal(t, cfg.ShutdownTimeoutSeconds, 3)
	assert.Equal(t, int64(cfg.DefaultShmSize), int64(128<<20))
	assert.DeepEqual(t, cfg.LogOpts, map[string]string{"max-size": "10m"})
	assert.DeepEqual(t, cfg.StorageOpts, []string{"overlay2.size=1"})
	assert.Equal(t, cfg.StorageDriver, "vfs")
	assert.Equal(t, cfg.LogLevel, "debug")
	assert.Equal(t, cfg.PidFile, "/run/engine/engine.pid")
}

func TestBadConfigurationIsRefusedAndNamed(t *testing.T) {
	for text, want := range map[string]string{
		`{"colour": "red"}`:                           "don't match any configuration option: colour",
		`{"host": ["unix:///x"]}`:                     "don't match any configuration option: host",
		`{"debug": true}`:                             "both as a flag and in the configuration file: debug: (from flag: true, from file: true)",
		`{"raw-logs": true}`:                          "not supported by this version of engine yet: raw-logs",
		`{"live-restore": "yes"}`:                     `live-restore: "yes" is not of the type bool`,
		`{"hosts": "unix:///x"}`:                      "hosts: \"unix:///x\" is not of the type stringArray",
		`{"hosts": [1]}`:                              "hosts: 1 is not a string",
		`{"shutdown-timeout": 1.5}`:                   "shutdown-timeout",
		`{"pidfile": "/a", "pidfile":""}`:             "pidfile: the key is there twice",
		`{"labels": ["x"]}`:                           "bad attribute format: x",
		`{"exec-opts": ["oci"]}`:                      "exec-opt: \"oci\" is not of the form DRIVER.KEY=VALUE",
		`{"data-root": "here"}`:                       `data-root: "here" is not an absolute path`,
		`{"exec-opts": ["native.cgroupdriver=red"]}`:  "native.cgroupdriver option red not supported",
		`{"exec-opts": ["native.cgroupdriver=none"]}`: "native.cgroupdriver option none is internally used and cannot be specified manually",
		`{"runtimes": {"runc": {"path": "/x"}}}`:      "runtimes: runtime name 'runc' is reserved",
		`{"runtimes": {"x": {}}}`:                     "runtime x: a path must be configured",
		`{"runtimes": {"x": {"runtimeType": "io.containerd.runsc.v1"}}}`: "runtimes: x: runtimeType and options are for containerd's shims",
		`{"runtimes": {"x": {"path": "/x", "colour": "red"}}}`:           `unknown field "colour"`,
		`{"runtimes": {"x": {"path": "/x"}, "x": {"path": "/y"}}}`:       `key "x" is given twice`,
		`{"runtimes": [1]}`:            "[1] is not an object",
		`{"add-runtime": ["x=/y"]}`:    "don't match any configuration option: add-runtime",
		`{"log-format": "xml"}`:        "log-format",
		`{"gc": true}`:                 "gc: it is an object such as",
		`{"gc": {"size": 1}}`:          `gc: unknown key "size"`,
		`{"gc": {"max-size": "many"}}`: "gc: max-size: invalid size",
		`{"gc": {"keep-for": "-1h"}}`:  "gc: keep-for: it is negative",
		`{"gc": {"unused": ["x"]}}`:    "gc: unused: it is a text, a number or a truth value",
		`[]`:                           "not a JSON object",
		`{"a"`:                         "EOF",
		`{} {}`:                        "after the JSON object",
	} {
		_, _, err := parse([]string{"-d", "-D", "--config-file", configFile(t, text)})
		assert.ErrorContains(t, err, want, text)
	}
}

func TestAMissingConfigurationFileIsAnErrorOnlyWhenItWasAskedFor(t *testing.T) {
	_, _, err := parse([]string{"-d", "--config-file", "/nonexistent/daemon.json"})
	assert.ErrorContains(t, err, "/nonexistent/daemon.json")
}

func TestMistakesOnTheCommandLineAreUsageErrors(t *testing.T) {
	for _, line := range []string{"-d --colour", "-d now", "-d --shutdown-timeout soon"} {
		_, _, err := parse(strings.Fields(line))
		_, ok := err.(usageError)
		assert.Check(t, ok, "%s: %v", line, err)
	}
}

func TestPlainTCPMustBeAskedForOutright(t *testing.T) {
	path := configFile(t, "")
	cfg, _, err := parse([]string{"-d", "--config-file", path})
	assert.NilError(t, err)
	assert.Check(t, !cfg.plainTCP)
	cfg, _, err = parse([]string{"-d", "--config-file", path, "--tls=false"})
	assert.NilError(t, err)
	assert.Check(t, cfg.plainTCP)
	cfg, _, err = parse([]string{"-d", "--config-file", path, "--tlsverify"})
	assert.NilError(t, err)
	assert.Check(t, cfg.TLS && !cfg.plainTCP)
}

func TestAPidFileIsTakenOverFromTheDeadButNotFromTheLiving(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.pid")
	assert.NilError(t, os.WriteFile(path, []byte("1\n"), 0o644)) // pid 1 lives, but does not hold the lock
	first, err := writePidFile(path)
	assert.NilError(t, err)
	_, err = writePidFile(path)
	assert.ErrorContains(t, err, "belongs to a running daemon")
	first.remove()
	_, err = os.Stat(path)
	assert.Check(t, os.IsNotExist(err))
}

func FuzzConfigFile(f *testing.F) {
	f.Add(`{"debug": true, "hosts": ["a"], "log-opts": {"a":"b"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		_ = applyConfig([]byte(text), flagSet(&Config{}))
	})
}

func TestALockThatIsJustBeingLetGoIsWaitedFor(t *testing.T) {
	root := t.TempDir()
	cfg := &Config{DataRoot: root + "/data", ExecRoot: root + "/exec", PidFile: root + "/pid"}
	t.Setenv("TMPDIR", os.TempDir()) // claim sets it
	first, err := claim(cfg)
	assert.NilError(t, err)
	_, err = claim(cfg)
	assert.ErrorContains(t, err, "in use by another process")
	go func() {
		time.Sleep(50 * time.Millisecond)
		first()
	}()
	second, err := claim(cfg)
	assert.NilError(t, err)
	second()
}

func TestRuntimesOfFlagsAndFileAddUp(t *testing.T) {
	path := configFile(t, `{"runtimes": {"crun": {"path": "/usr/bin/crun", "runtimeArgs": ["--debug", "a b"]}}, "default-runtime": "crun", "exec-opts": ["oci.path=/x"]}`)
	cfg, _, err := parse([]string{"-d", "--config-file", path, "--add-runtime", "Youki=/usr/bin/youki"})
	assert.NilError(t, err)
	assert.DeepEqual(t, map[string]builtins.Runtime(cfg.Runtimes), map[string]builtins.Runtime{
		"crun": {Path: "/usr/bin/crun", Args: []string{"--debug", "a b"}}, "youki": {Path: "/usr/bin/youki"},
	})
	assert.Equal(t, cfg.DefaultRuntime, "crun")
	assert.DeepEqual(t, cfg.ExecOpts, []string{"oci.path=/x"})
	for text, want := range map[string]string{
		"x": "invalid runtime argument: x", "=x": "invalid runtime argument: =x", "x=": "invalid runtime argument: x=",
		"runc=/x": "runtime name 'runc' is reserved", "crun=/x": "runtime 'crun' was already defined", "a/b=/x": "invalid runtime name",
	} {
		_, _, err := parse([]string{"-d", "--config-file", path, "--add-runtime", text})
		if err == nil && text == "crun=/x" {
			t.Error("a runtime that is there twice is taken")
		}
		assert.ErrorContains(t, err, want)
	}
}

func TestGarbageLimitsAreRead(t *testing.T) {
	cfg, _, err := parse([]string{"-d", "--config-file", configFile(t, `{"gc": {"max-size": "20GB", "unused": true, "keep-for": "90m", "keep-downloads": "48h"}}`)})
	assert.NilError(t, err)
	want := builtins.GC{MaxBytes: 20_000_000_000, Unused: true, KeepFor: 90 * time.Minute, KeepDownloads: 48 * time.Hour}
	assert.Equal(t, cfg.GC.GC, want)
	again, _, err := parse([]string{"-d", "--config-file", configFile(t, "{}"), "--gc", cfg.GC.String()})
	assert.NilError(t, err)
	assert.Equal(t, again.GC.GC, want)
	cfg, _, err = parse([]string{"-d", "--config-file", configFile(t, `{"gc": {"max-size": 1000}}`)})
	assert.NilError(t, err)
	want = builtins.DefaultGC()
	want.MaxBytes = 1000
	assert.Equal(t, cfg.GC.GC, want)
}
