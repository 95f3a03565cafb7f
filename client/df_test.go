package client

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"
)

// The stand-in speaks the API of before the sums: the client makes them.
func TestSystemDf(t *testing.T) {
	s := newStandIn(t)
	ago := time.Now().Add(-3 * time.Hour)
	s.on("GET /system/df", answers(200, map[string]any{
		"LayersSize": 3000000,
		"Images": []map[string]any{
			{"Id": "sha256:" + strings.Repeat("1", 64), "RepoTags": []string{"b:2", "a:1"}, "Created": ago.Unix(), "Size": 2000000, "SharedSize": 500000, "Containers": 2},
			{"Id": "sha256:" + strings.Repeat("2", 64), "RepoTags": []string{}, "Created": ago.Unix(), "Size": 1500000, "SharedSize": 500000, "Containers": 0},
		},
		"Containers": []map[string]any{
			{"Id": strings.Repeat("ab", 32), "Names": []string{"/web"}, "Image": "b:2", "Command": "sh", "Created": ago.Unix(), "State": "running", "Status": "Up 3 hours", "SizeRw": 1000, "SizeRootFs": 2001000, "Labels": map[string]string{"a": "b"}},
			{"Id": strings.Repeat("cd", 32), "Names": []string{"/old"}, "Image": "b:2", "Command": "sh", "Created": ago.Unix(), "State": "exited", "Status": "Exited (0) 2 hours ago", "SizeRw": 3000},
		},
		"Volumes": []map[string]any{
			{"Name": "used", "Driver": "local", "UsageData": map[string]any{"Size": 700, "RefCount": 1}},
			{"Name": "idle", "Driver": "local", "UsageData": map[string]any{"Size": 300, "RefCount": 0}},
			{"Name": "unknown", "Driver": "other", "UsageData": map[string]any{"Size": -1, "RefCount": -1}},
		},
		"BuildCache": []map[string]any{
			{"ID": strings.Repeat("e", 25), "Type": "regular", "Size": 5000, "InUse": true, "UsageCount": 2, "CreatedAt": ago, "LastUsedAt": ago},
			{"ID": strings.Repeat("f", 25), "Type": "regular", "Size": 1000, "Shared": true, "CreatedAt": ago},
		},
	}))
	var out strings.Builder
	for _, line := range [][]string{
		{"system", "df"},
		{"system", "df", "-v"},
		{"system", "df", "--format", "json"},
		{"system", "df", "--format", "raw"},
		{"system", "df", "-v", "--format", "raw"},
		{"system", "df", "--format", "{{.Type}} {{.Size}}"},
		{"system", "df", "--format", "table {{.Type}}\\t{{.Reclaimable}}"},
		{"system", "df", "-v", "--format", "{{range .Containers}}{{.Names}} {{.Size}}\\n{{end}}"},
		{"system", "df", "--format", "{{.Nope}}"},
		{"system", "df", "-v", "--format", "{{.No"},
		{"system", "df", "more"},
	} {
		code, o, e := s.run(line...)
		o = strings.ReplaceAll(strings.ReplaceAll(o, ago.Add(-ago.Sub(time.Unix(ago.Unix(), 0))).String(), "TIME"), time.Unix(ago.Unix(), 0).String(), "TIME")
		fmt.Fprintf(&out, "$ %s\n%s%s(%d)\n", strings.Join(line, " "), o, e, code)
	}
	fmt.Fprintf(&out, "\n%s\n", strings.Join(s.log(), "\n"))
	golden.Assert(t, out.String(), "systemdf.golden")

	_, text, _ := s.run("system", "df", "-v", "--format", "json")
	var parts struct {
		Images, Containers, Volumes, BuildCache []map[string]any
	}
	assert.NilError(t, json.Unmarshal([]byte(text), &parts))
	assert.Equal(t, parts.Images[0]["UniqueSize"], "1.5MB")
	assert.Equal(t, parts.Containers[1]["Size"], "3kB")
	assert.Equal(t, parts.Volumes[2]["Size"], "N/A")
	assert.Equal(t, parts.BuildCache[1]["ID"], strings.Repeat("e", 25)+"*") // the one used last comes last
}

// A daemon that gives the sums is believed.
func TestSystemDfTakesTheDaemonsSums(t *testing.T) {
	s := newStandIn(t)
	s.on("GET /system/df", answers(200, map[string]any{
		"ImageUsage":      map[string]any{"TotalCount": 5, "ActiveCount": 2, "TotalSize": 4000, "Reclaimable": 1000, "Items": []map[string]any{{"Id": "sha256:" + strings.Repeat("1", 64), "RepoTags": []string{"a:1"}}}},
		"ContainerUsage":  map[string]any{"TotalCount": 1},
		"VolumeUsage":     map[string]any{},
		"BuildCacheUsage": map[string]any{"TotalSize": 10, "Reclaimable": 10},
	}))
	_, o, _ := s.run("system", "df", "--format", "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}")
	assert.Equal(t, o, "Images|5|2|4kB|1kB (25%)\nContainers|1|0|0B|0B\nLocal Volumes|0|0|0B|0B\nBuild Cache|0|0|10B|10B\n")
	_, o, _ = s.run("system", "df", "-v", "--format", "{{range .Images}}{{.Repository}}{{end}}")
	assert.Equal(t, o, "a")
	assert.DeepEqual(t, s.log(), []string{"GET /system/df", "GET /system/df?verbose=1"})
}
