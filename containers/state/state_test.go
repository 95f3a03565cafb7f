package state

import (
	"errors"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"
)

func TestARecordBecomesTheSnapshotItWas(t *testing.T) {
	at := time.Unix(1790000000, 0).UTC()
	s := &Snapshot{
		ID: "aaaaaaaaaaaaaaaa", Name: "web", Created: at, ImageID: "sha256:x", Path: "sh", Args: []string{"-c", "true"},
		Config:     &container.Config{Image: "busybox", Labels: map[string]string{"a": "b"}},
		HostConfig: &container.HostConfig{NetworkMode: "mine", Binds: []string{"/a:/b"}},
		Mounts:     []container.MountPoint{{Type: mount.TypeBind, Source: "/a", Destination: "/b"}},
		Networks:   map[string]*network.EndpointSettings{"mine": {Aliases: []string{"w"}}},
		Driver:     "vfs", LogPath: "/l", RestartCount: 2, Runs: 3, ManualStop: true,
		State: State{Running: true, Paused: true, Pid: 7, StartTime: 8, OOMKills: 1, StartedAt: at, FinishedAt: at},
	}
	assert.NilError(t, s.Store())
	again, err := Of(s.Record())
	assert.NilError(t, err)
	assert.NilError(t, again.Store())
	assert.DeepEqual(t, again.Record(), s.Record())
	assert.DeepEqual(t, again.State, s.State)
	assert.DeepEqual(t, again.Networks["mine"].Aliases, []string{"w"})
	s.State.Restarting = true // it has no program then
	assert.Equal(t, s.Record().State.Running, false)
}

func TestABrokenOneIsDead(t *testing.T) {
	s := Broken("short", errors.New("cut off"))
	assert.Equal(t, s.Name, "short")
	assert.Equal(t, s.State.Status(), container.StateDead)
	assert.Assert(t, s.Damaged)
}
