package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"gotest.tools/v3/assert"
)

func TestLimitsComeFromFlagsAndFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "daemon.json")
	write := func(text string) { assert.NilError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write(`{"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 10, "Hard": 20}, "core": {"Soft": -1, "Hard": -1}}, "containers-pids-limit": 500, "oom-score-adjust": -7, "cpu-rt-runtime": 950000}`)
	cfg, _, err := parse([]string{"--config-file", file})
	assert.NilError(t, err)
	assert.Equal(t, len(cfg.Limits.Ulimits), 2)
	assert.Equal(t, cfg.Limits.Ulimits[0].String()+" "+cfg.Limits.Ulimits[1].String(), "core=-1:-1 nofile=10:20")
	assert.Equal(t, cfg.Limits.Pids, int64(500))
	assert.Equal(t, cfg.Limits.OOMScoreAdjust, -7)
	assert.Equal(t, cfg.Limits.RealtimeRuntime, int64(950000))

	for text, want := range map[string]string{
		`{"default-ulimits": {"foo": {"Soft": 1, "Hard": 2}}}`:    "invalid ulimit name foo",
		`{"default-ulimits": {"nofile": {"Soft": 3, "Hard": 2}}}`: "soft limit must be less than or equal to hard limit: 3 > 2",
		`{"default-ulimits": {"nofile": null}}`:                   "ulimit nofile: null",
		`{"default-ulimits": ["nofile=1"]}`:                       "is not an object",
		`{"containers-pids-limit": -2}`:                           "containers-pids-limit: invalid value -2",
		`{"oom-score-adjust": 2000}`:                              "range for oom score adj is [-1000, 1000]",
		`{"cpu-rt-period": 5, "cpu-rt-runtime": 6}`:               "cpu-rt-runtime: 6 is more than the period of 5",
	} {
		write(text)
		_, _, err := parse([]string{"--config-file", file})
		assert.ErrorContains(t, err, want)
	}
	_, _, err = parse([]string{"--default-ulimit", "nofile", "--config-file", "/dev/null"})
	assert.ErrorContains(t, err, "invalid ulimit")
}
