package containers

import (
	"fmt"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/jobs"
)

// shelf is a noun that holds snapshots and nothing else.
func shelf(t testing.TB, images Images, snaps ...*Snapshot) *Containers {
	t.Helper()
	c := &Containers{images: images, networks: noNetworks{}}
	for i, s := range snaps {
		if s.ID == "" {
			s.ID = fmt.Sprintf("%064x", i+1)
		}
		if s.Config == nil {
			s.Config = &container.Config{Image: "busybox"}
		}
		if s.HostConfig == nil {
			s.HostConfig = &container.HostConfig{}
		}
		if s.ImageID == "" {
			s.ImageID = imageID
		}
		if s.Created.IsZero() {
			s.Created = time.Unix(1790000000+int64(i), 0)
		}
		c.index.add(newContainer(s))
	}
	return c
}

func listed(t *testing.T, c *Containers, in jobs.ContainersIn) []string {
	t.Helper()
	out, err := c.containers(t.Context(), nil, in)
	assert.NilError(t, err)
	list := []string{}
	for _, row := range out.Containers {
		list = append(list, row.Names[0][1:])
	}
	return list
}

func crew(t *testing.T) *Containers {
	start := time.Unix(1790000000, 0)
	return shelf(t, newOneImage(),
		&Snapshot{Name: "old", State: State{StartedAt: start, FinishedAt: start, ExitCode: 3}},
		&Snapshot{Name: "made", Config: &container.Config{Image: "busybox", Labels: map[string]string{"a": "b", "c": ""}}},
		&Snapshot{Name: "web-1", State: State{Running: true, StartedAt: start}, HostConfig: &container.HostConfig{NetworkMode: "host", Annotations: map[string]string{"x": "y"}}},
		&Snapshot{Name: "web-2", State: State{Running: true, Paused: true, StartedAt: start}, Mounts: []container.MountPoint{
			{Type: mount.TypeBind, Source: "/srv", Destination: "/mnt"}, {Type: mount.TypeVolume, Name: "data", Source: "/v/data", Destination: "/data"}}},
	)
}

func TestListShowsRunningOnesNewestFirst(t *testing.T) {
	c := crew(t)
	assert.DeepEqual(t, listed(t, c, jobs.ContainersIn{}), []string{"web-2", "web-1"})
	assert.DeepEqual(t, listed(t, c, jobs.ContainersIn{All: true}), []string{"web-2", "web-1", "made", "old"})
	assert.DeepEqual(t, listed(t, c, jobs.ContainersIn{Limit: 3}), []string{"web-2", "web-1", "made"})
	assert.DeepEqual(t, listed(t, c, jobs.ContainersIn{Limit: -1}), []string{"web-2", "web-1"})
}

func TestListRowIsDockers(t *testing.T) {
	c := shelf(t, newOneImage(), &Snapshot{Name: "x", Path: "sh", Args: []string{"-c", `echo "hi"`, "z"},
		Config: &container.Config{Image: "gone"}, State: State{Restarting: true, Running: true}})
	out, err := c.containers(t.Context(), nil, jobs.ContainersIn{All: true})
	assert.NilError(t, err)
	row := out.Containers[0]
	assert.Equal(t, row.Command, `sh -c 'echo "hi"' z`)
	assert.Equal(t, row.Image, imageID) // the name stands for nothing any more
	assert.Assert(t, row.Labels != nil && row.Mounts != nil && row.Ports != nil)
	assert.Equal(t, row.State, container.StateRestarting)
}

func TestTopKeepsTheRowsOfItsProcesses(t *testing.T) {
	table := "UID   PID  PPID CMD\nroot  1 0 init\nroot  42 1 sh -c  'sleep 5'\nx 43\nroot 44 1 other\n"
	r, err := processes([]byte(table), []int{42, 99})
	assert.NilError(t, err)
	assert.DeepEqual(t, r.Titles, []string{"UID", "PID", "PPID", "CMD"})
	assert.DeepEqual(t, r.Processes, [][]string{{"root", "42", "1", "sh -c 'sleep 5'"}})
	_, err = processes([]byte("CMD\nsh\n"), []int{42})
	assert.Error(t, err, "Couldn't find PID field in ps output")
}

func BenchmarkListOf200(b *testing.B) {
	var snaps []*Snapshot
	for i := range 200 {
		snaps = append(snaps, &Snapshot{Name: fmt.Sprintf("web-%d", i), Path: "sleep", Args: []string{"1000"},
			State: State{Running: i%2 == 0, StartedAt: time.Unix(1790000000, 0), FinishedAt: time.Unix(1790000001, 0)}})
	}
	c := shelf(b, newOneImage(), snaps...)
	for b.Loop() {
		out, err := c.containers(b.Context(), nil, jobs.ContainersIn{All: true})
		if err != nil || len(out.Containers) != 200 {
			b.Fatal(err)
		}
	}
}
