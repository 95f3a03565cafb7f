package containers

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/filters"
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

func TestListFilters(t *testing.T) {
	c := crew(t)
	made := fmt.Sprintf("%064x", 2)
	for _, row := range []struct {
		f    filters.Args
		all  bool
		want []string
	}{
		{filters.Args{"status": {"exited"}}, false, []string{"old"}},
		{filters.Args{"status": {"created", "paused"}}, false, []string{"web-2", "made"}},
		{filters.Args{"status": {"running"}}, false, []string{"web-1"}},
		{filters.Args{"exited": {"3"}}, false, []string{}},
		{filters.Args{"exited": {"3"}}, true, []string{"old"}},
		{filters.Args{"exited": {"0"}}, true, []string{}},
		{filters.Args{"name": {"web"}}, true, []string{"web-2", "web-1"}},
		{filters.Args{"name": {"^/web-1$"}}, true, []string{"web-1"}},
		{filters.Args{"name": {"^made$", "old"}}, true, []string{"made", "old"}},
		{filters.Args{"name": {"("}}, true, []string{}},
		{filters.Args{"id": {made}}, true, []string{"made"}},
		{filters.Args{"id": {made[:63]}}, true, []string{"web-2", "web-1", "made", "old"}},
		{filters.Args{"id": {"2"}}, true, []string{}},
		{filters.Args{"label": {"a"}}, true, []string{"made"}},
		{filters.Args{"label": {"a=b", "c"}}, true, []string{"made"}},
		{filters.Args{"label": {"a=b", "d"}}, true, []string{}},
		{filters.Args{"annotation": {"x=y"}}, true, []string{"web-1"}},
		{filters.Args{"network": {"host"}}, true, []string{"web-1"}},
		{filters.Args{"network": {"none"}}, true, []string{"web-2", "made", "old"}},
		{filters.Args{"volume": {"/mnt"}}, true, []string{"web-2"}},
		{filters.Args{"volume": {"data"}}, true, []string{"web-2"}},
		{filters.Args{"volume": {"/srv"}}, true, []string{"web-2"}},
		{filters.Args{"volume": {"/v/data"}}, true, []string{}},
		{filters.Args{"before": {"web-1"}}, true, []string{"made", "old"}},
		{filters.Args{"since": {"made"}}, true, []string{"web-2", "web-1"}},
		{filters.Args{"since": {"old"}, "before": {"web-2"}}, true, []string{"web-1", "made"}},
		{filters.Args{"is-task": {"true"}}, true, []string{}},
		{filters.Args{"is-task": {"false"}}, true, []string{"web-2", "web-1", "made", "old"}},
		{filters.Args{"health": {"none"}}, false, []string{"web-2", "web-1"}},
		{filters.Args{"health": {"healthy"}}, true, []string{}},
		{filters.Args{"isolation": {"default"}}, false, []string{"web-2", "web-1"}},
		{filters.Args{"publish": {"80"}}, true, []string{}},
		{filters.Args{"expose": {"80-90/udp"}}, true, []string{}},
		{filters.Args{"ancestor": {"busybox"}}, false, []string{"web-2", "web-1"}},
		{filters.Args{"ancestor": {"nope"}}, true, []string{}},
		{filters.Args{"name": {"web"}, "status": {"paused"}}, false, []string{"web-2"}},
	} {
		assert.DeepEqual(t, listed(t, c, jobs.ContainersIn{All: row.all, Filters: row.f}), row.want)
	}
}

func TestListRefusesBadFilters(t *testing.T) {
	c := crew(t)
	for _, f := range []filters.Args{
		{"foo": {"x"}}, {"status": {"asleep"}}, {"health": {"fine"}}, {"exited": {"x"}}, {"is-task": {"maybe"}},
		{"publish": {"x"}}, {"publish": {"80-70"}}, {"expose": {"1:2"}},
	} {
		_, err := c.containers(t.Context(), nil, jobs.ContainersIn{Filters: f})
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%v: %v", f, err)
	}
	_, err := c.containers(t.Context(), nil, jobs.ContainersIn{Filters: filters.Args{"before": {"nope"}}})
	assert.Error(t, err, "no such container nope")
}

// family is images of which some were made from others.
type family map[string]Image

func (family) Commit(context.Context, CommitSpec, io.Reader) (string, string, error) {
	return "", "", errs.NotImplemented("commit")
}

func (f family) Lookup(_ context.Context, ref, _ string) (Image, error) {
	if img, ok := f[ref]; ok {
		return img, nil
	}
	return Image{}, errs.NotFound("No such image: %s", ref)
}

func (family) Parent(context.Context, string) (string, error) { return "", nil }

func (f family) add(name, base, layer, step string) {
	id := "sha256:" + name
	img := Image{ID: id}
	img.Config.RootFS.DiffIDs = append(img.Config.RootFS.DiffIDs, f[base].Config.RootFS.DiffIDs...)
	img.Config.History = append(img.Config.History, f[base].Config.History...)
	if layer != "" {
		img.Config.RootFS.DiffIDs = append(img.Config.RootFS.DiffIDs, digest.Digest(layer))
	}
	img.Config.History = append(img.Config.History, ocispec.History{CreatedBy: step})
	f[name], f[id] = img, img
}

func TestAncestorFindsDescendants(t *testing.T) {
	f := family{}
	f.add("base", "", "l1", "ADD")
	f.add("child", "base", "", "CMD")
	f.add("grandchild", "child", "l2", "RUN")
	f.add("sibling", "base", "", "ENV")
	var snaps []*Snapshot
	for _, name := range []string{"base", "child", "grandchild", "sibling"} {
		snaps = append(snaps, &Snapshot{Name: name, ImageID: "sha256:" + name, Config: &container.Config{Image: name}})
	}
	c := shelf(t, f, snaps...)
	from := func(ref string) []string {
		return listed(t, c, jobs.ContainersIn{All: true, Filters: filters.Args{"ancestor": {ref}}})
	}
	assert.DeepEqual(t, from("base"), []string{"sibling", "grandchild", "child", "base"})
	assert.DeepEqual(t, from("sha256:child"), []string{"grandchild", "child"})
	assert.DeepEqual(t, from("sibling"), []string{"sibling"})
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

func TestStatusText(t *testing.T) {
	now := time.Unix(1790000000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for want, s := range map[string]State{
		"Up 2 minutes":                   {Running: true, StartedAt: ago(2 * time.Minute)},
		"Up 3 hours (Paused)":            {Running: true, Paused: true, StartedAt: ago(3 * time.Hour)},
		"Up Less than a second":          {Running: true, StartedAt: now},
		"Up About a minute":              {Running: true, StartedAt: ago(65 * time.Second)},
		"Restarting (7) 4 seconds ago":   {Running: true, Restarting: true, ExitCode: 7, FinishedAt: ago(4 * time.Second)},
		"Exited (0) 3 seconds ago":       {StartedAt: ago(time.Hour), FinishedAt: ago(3 * time.Second)},
		"Exited (137) About an hour ago": {ExitCode: 137, StartedAt: ago(2 * time.Hour), FinishedAt: ago(time.Hour)},
		"Created":                        {},
		"Dead":                           {Dead: true},
		"Removal In Progress":            {Removing: true, StartedAt: now, FinishedAt: now},
	} {
		assert.Equal(t, statusText(s, now), want)
	}
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
