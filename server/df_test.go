package server

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

func someUsage() *system.DiskUsage {
	return &system.DiskUsage{
		ImageUsage:      &image.DiskUsage{TotalCount: 1, ActiveCount: 1, TotalSize: 30, Reclaimable: 10, Items: []image.Summary{{ID: "sha256:1", Size: 20, SharedSize: 5, Containers: 3, RepoTags: []string{}, RepoDigests: []string{}}}},
		ContainerUsage:  &container.DiskUsage{TotalCount: 1, TotalSize: 7, Items: []container.Summary{{ID: "abc", SizeRw: 7, SizeRootFs: 27}}},
		VolumeUsage:     &volume.DiskUsage{Items: []volume.Volume{}},
		BuildCacheUsage: &build.DiskUsage{Items: []build.CacheRecord{}},
	}
}

func TestDiskUsageInEveryVersionsShape(t *testing.T) {
	checkShapes(t, []shape{
		{"LayersSize", 24, "30", "30"},
		{"Images.0.Size", 24, "20", "20"},
		{"Images.0.SharedSize", 24, "5", "5"},
		{"Images.0.Containers", 24, "3", "3"}, // in all versions: lists have -1 before 1.51
		{"Images.0.VirtualSize", 44, "20", "-"},
		{"Images.0.RepoTags", 43, `["\u003cnone\u003e:\u003cnone\u003e"]`, "[]"},
		{"Images.0.RepoDigests", 43, `["\u003cnone\u003e@\u003cnone\u003e"]`, "[]"},
		{"Containers.0.SizeRw", 24, "7", "7"},
		{"Volumes", 24, "[]", "[]"},
		{"BuildCache", 24, "[]", "[]"},
		{"BuilderSize", 42, "0", "-"},
		{"ImageUsage", 52, "-", `{"ActiveCount":1,"Reclaimable":10,"TotalCount":1,"TotalSize":30}`},
		{"ContainerUsage", 52, "-", `{"TotalCount":1,"TotalSize":7}`},
		{"VolumeUsage", 52, "-", "{}"},
		{"BuildCacheUsage", 52, "-", "{}"},
	}, func(v apiVersion) any { return diskUsageFor(v, false, someUsage()) })

	verbose := diskUsageFor(52, true, someUsage())
	assert.Equal(t, at(t, verbose, "LayersSize"), "-")
	assert.Equal(t, at(t, verbose, "Images"), "-")
	assert.Equal(t, at(t, verbose, "ImageUsage.Items.0.Size"), "20")
	assert.Equal(t, at(t, verbose, "ContainerUsage.Items.0.SizeRw"), "7")
	assert.Equal(t, at(t, diskUsageFor(51, true, someUsage()), "Images.0.Size"), "20")
	none := diskUsageFor(42, false, &system.DiskUsage{})
	for _, list := range []string{"Images", "Containers", "Volumes", "BuildCache"} {
		assert.Equal(t, at(t, none, list), "null")
	}
}

func TestDiskUsageOfSomeTypes(t *testing.T) {
	var asked []system.DiskUsageObject
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.SystemDf.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.SystemDfIn) (jobs.SystemDfOut, error) {
			asked = in.Types
			if len(asked) == 1 && asked[0] == "bogus" {
				return jobs.SystemDfOut{}, errs.Invalid("unknown object type: %s", asked[0])
			}
			return jobs.SystemDfOut{DiskUsage: *someUsage()}, nil
		})
	})
	for path, want := range map[string]string{
		"/system/df": "200 []",
		"/v1.42/system/df?type=image&type=volume":     "200 [image volume]",
		"/v1.41/system/df?type=image":                 "200 []", // it had no types
		"/v1.52/system/df?type=build-cache&verbose=1": "200 [build-cache]",
		"/v1.41/system/df?type=bogus":                 "200 []",
		"/v1.44/system/df?type=bogus":                 "400 [bogus]",
		"/system/df?verbose=true&type=container":      "200 [container]",
	} {
		a := d.get(path)
		io.Copy(io.Discard, a.Body)
		assert.Equal(t, fmt.Sprintf("%d %v", a.StatusCode, asked), want, path)
	}
	cli, err := client.New(client.WithHost("unix://" + d.sock))
	assert.NilError(t, err)
	defer cli.Close()
	usage, err := cli.DiskUsage(t.Context(), client.DiskUsageOptions{Verbose: true})
	assert.NilError(t, err)
	assert.Equal(t, usage.Images.TotalSize, int64(30))
	assert.Equal(t, len(usage.Containers.Items), 1)
}
