package show

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/containers/state"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/filters"
	"github.com/jobengine/engine/jobs"
)

const busybox = "sha256:busybox"

// shelf is containers, the newest first.
type shelf struct {
	snaps  []*state.Snapshot
	images Images
}

// newShelf takes the oldest first.
func newShelf(lookup func(string) (Image, error), snaps ...*state.Snapshot) *shelf {
	for i, s := range snaps {
		s.ID = fmt.Sprintf("%064x", i+1)
		if s.Config == nil {
			s.Config = &container.Config{Image: "busybox"}
		}
		if s.HostConfig == nil {
			s.HostConfig = &container.HostConfig{NetworkMode: "none"}
		}
		if s.ImageID == "" {
			s.ImageID = busybox
		}
	}
	slices.Reverse(snaps)
	return &shelf{snaps: snaps, images: Images{Lookup: lookup}}
}

func (f *shelf) Find(ref string) (string, error) {
	for _, s := range f.snaps {
		if s.Name == ref {
			return s.ID, nil
		}
	}
	return "", errs.NotFound("No such container: %s", ref)
}

func (*shelf) Endpoints(s *state.Snapshot) map[string]*network.EndpointSettings {
	return map[string]*network.EndpointSettings{string(s.HostConfig.NetworkMode): {NetworkID: "id-" + string(s.HostConfig.NetworkMode)}}
}

// Ports are those that web-1 has.
func (*shelf) Ports(s *state.Snapshot) network.PortMap {
	if s.Name != "web-1" {
		return network.PortMap{}
	}
	return network.PortMap{network.MustParsePort("80/tcp"): {{HostPort: "8080"}}, network.MustParsePort("85/udp"): nil}
}

func (f *shelf) list(in jobs.ContainersIn) ([]string, error) {
	pick, err := NewSelection(in, f.snaps, f, &f.images)
	names := []string{}
	for i, s := range f.snaps {
		if err == nil && pick.Wants(i, s) {
			names = append(names, s.Name)
		}
	}
	return names, err
}

func (f *shelf) names(t *testing.T, in jobs.ContainersIn) []string {
	t.Helper()
	names, err := f.list(in)
	assert.NilError(t, err)
	return names
}

func crew() *shelf {
	start := time.Unix(1790000000, 0)
	one := func(ref string) (Image, error) {
		if ref == "busybox" || ref == busybox {
			return Image{ID: busybox}, nil
		}
		return Image{}, errs.NotFound("No such image: %s", ref)
	}
	return newShelf(one,
		&state.Snapshot{Name: "old", State: state.State{StartedAt: start, FinishedAt: start, ExitCode: 3}},
		&state.Snapshot{Name: "made", Config: &container.Config{Image: "busybox", Labels: map[string]string{"a": "b", "c": ""}}},
		&state.Snapshot{Name: "web-1", State: state.State{Running: true, StartedAt: start}, HostConfig: &container.HostConfig{NetworkMode: "host", Annotations: map[string]string{"x": "y"}}},
		&state.Snapshot{Name: "web-2", State: state.State{Running: true, Paused: true, StartedAt: start}, Mounts: []container.MountPoint{
			{Type: mount.TypeBind, Source: "/srv", Destination: "/mnt"}, {Type: mount.TypeVolume, Name: "data", Source: "/v/data", Destination: "/data"}}},
	)
}

func TestListFilters(t *testing.T) {
	c := crew()
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
		{filters.Args{"network": {"id-host"}}, true, []string{"web-1"}},
		{filters.Args{"publish": {"80"}}, true, []string{}},
		{filters.Args{"publish": {"8000-8100"}}, true, []string{"web-1"}},
		{filters.Args{"expose": {"80-90/udp"}}, true, []string{"web-1"}},
		{filters.Args{"expose": {"81-90/tcp"}}, true, []string{}},
		{filters.Args{"ancestor": {"busybox"}}, false, []string{"web-2", "web-1"}},
		{filters.Args{"ancestor": {"nope"}}, true, []string{}},
		{filters.Args{"name": {"web"}, "status": {"paused"}}, false, []string{"web-2"}},
	} {
		assert.DeepEqual(t, c.names(t, jobs.ContainersIn{All: row.all, Filters: row.f}), row.want)
	}
}

func TestListRefusesBadFilters(t *testing.T) {
	c := crew()
	for _, f := range []filters.Args{
		{"foo": {"x"}}, {"status": {"asleep"}}, {"health": {"fine"}}, {"exited": {"x"}}, {"is-task": {"maybe"}},
		{"publish": {"x"}}, {"publish": {"80-70"}}, {"expose": {"1:2"}},
	} {
		_, err := c.list(jobs.ContainersIn{Filters: f})
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%v: %v", f, err)
	}
	_, err := c.list(jobs.ContainersIn{Filters: filters.Args{"before": {"nope"}}})
	assert.Error(t, err, "no such container nope")
}

// family is images of which some were made from others.
type family map[string]Image

func (f family) Lookup(ref string) (Image, error) {
	if img, ok := f[ref]; ok {
		return img, nil
	}
	return Image{}, errs.NotFound("No such image: %s", ref)
}

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
	var snaps []*state.Snapshot
	for _, name := range []string{"base", "child", "grandchild", "sibling"} {
		snaps = append(snaps, &state.Snapshot{Name: name, ImageID: "sha256:" + name, Config: &container.Config{Image: name}})
	}
	c := newShelf(f.Lookup, snaps...)
	from := func(ref string) []string {
		return c.names(t, jobs.ContainersIn{All: true, Filters: filters.Args{"ancestor": {ref}}})
	}
	assert.DeepEqual(t, from("base"), []string{"sibling", "grandchild", "child", "base"})
	assert.DeepEqual(t, from("sha256:child"), []string{"grandchild", "child"})
	assert.DeepEqual(t, from("sibling"), []string{"sibling"})
}

func TestStatusText(t *testing.T) {
	now := time.Unix(1790000000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for want, s := range map[string]state.State{
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
		assert.Equal(t, Status(s, now), want)
	}
}
