package logspec

import (
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/containers/runtime"
	"github.com/jobengine/engine/containers/state"
)

func TestCheckRefusesInDockersWords(t *testing.T) {
	for want, l := range map[string]container.LogConfig{
		`error looking up logging plugin gelf: plugin "gelf" not found`:               {Type: "gelf"},
		"unknown log opt 'speed' for json-file log driver":                            {Type: JSONFile, Config: map[string]string{"speed": "1"}},
		"unknown log opt 'colour' for json-file log driver":                           {Config: map[string]string{"colour": "1"}},
		"max-file cannot be less than 1":                                              {Type: JSONFile, Config: map[string]string{"max-file": "0"}},
		"max-size must be a positive number":                                          {Type: JSONFile, Config: map[string]string{"max-size": "0"}},
		"compress cannot be true when max-file is less than 2 or max-size is not set": {Type: JSONFile, Config: map[string]string{"compress": "true"}},
		"logger: logging mode not supported: eager":                                   {Type: JSONFile, Config: map[string]string{"mode": "eager"}},
	} {
		err := Check(l, JSONFile)
		assert.Error(t, err, want)
		assert.Assert(t, errdefs.IsInvalidArgument(err))
	}
	assert.NilError(t, Check(container.LogConfig{}, JSONFile))
	assert.NilError(t, Check(container.LogConfig{Type: None}, JSONFile))
}

func TestOfReadsLimitsAndAttributes(t *testing.T) {
	s := &state.Snapshot{
		ID: "0123456789abcdef", Name: "web", ImageID: "sha256:0011", LogPath: "/l",
		Config: &container.Config{Image: "busybox", Labels: map[string]string{"team": "a", "other": "b"}, Env: []string{"APP_X=1", "HOME=/"}},
		HostConfig: &container.HostConfig{LogConfig: container.LogConfig{Type: JSONFile, Config: map[string]string{
			"max-size": "2k", "max-file": "3", "compress": "true", "labels": "team", "env-regex": "^APP_", "tag": "{{.Name}}/{{.ID}}/{{.ImageID}}",
		}}},
	}
	l, err := Of(s)
	assert.NilError(t, err)
	assert.DeepEqual(t, l, runtime.LogSpec{
		Driver: JSONFile, Path: "/l", MaxSizeBytes: 2000, MaxFiles: 3, Compress: true,
		Attrs: map[string]string{"team": "a", "APP_X": "1", "tag": "web/0123456789ab/0011"},
	})
	s.HostConfig.LogConfig = container.LogConfig{Type: None}
	l, err = Of(s)
	assert.NilError(t, err)
	assert.DeepEqual(t, l, runtime.LogSpec{Driver: None})
}
