package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// A parameter that a version does not know is as good as not there.
func TestPlatformsAreReadSinceTheirVersion(t *testing.T) {
	var got any
	d := start(t, Options{}, func(eng *engine.Engine) {
		answer(eng, jobs.ImageInspect, &got)
		answer(eng, jobs.History, &got)
		answer(eng, jobs.ImageDelete, &got)
		answer(eng, jobs.Images, &got)
		jobs.Push.Register(eng, keep[jobs.PushIn, jobs.PushOpen, jobs.PushOut](&got, jobs.PushOpen{}))
		jobs.Pull.Register(eng, keep[jobs.PullIn, jobs.PullOpen, jobs.PullOut](&got, jobs.PullOpen{}))
		jobs.Import.Register(eng, keep[jobs.ImportIn, jobs.ImportOpen, jobs.ImportOut](&got, jobs.ImportOpen{}))
		jobs.Load.Register(eng, keep[jobs.LoadIn, jobs.LoadOpen, jobs.LoadOut](&got, jobs.LoadOpen{}))
		jobs.Save.Register(eng, keep[jobs.SaveIn, jobs.SaveOpen, jobs.SaveOut](&got, jobs.SaveOpen{}))
	})
	arm := "platform=" + url.QueryEscape(`{"os":"linux","architecture":"arm","variant":"v7"}`)
	amd := "platform=" + url.QueryEscape(`{"os":"linux","architecture":"amd64"}`)
	for _, row := range []struct {
		line  string // without the version
		from  int
		field string
		want  string
	}{
		{"GET /images/x/json?" + arm, 49, "Platform", `"linux/arm/v7"`},
		{"GET /images/x/json?manifests=1&" + arm, 49, "", "conflicting options: manifests and platform options cannot both be set"},
		{"GET /images/x/history?" + arm, 48, "Platform", `"linux/arm/v7"`},
		{"DELETE /images/x?platforms" + strings.TrimPrefix(arm, "platform"), 50, "Platforms", `["linux/arm/v7"]`},
		{"POST /images/x/push?" + arm, 46, "Platform", `"linux/arm/v7"`},
		{"POST /images/create?fromImage=x&platform=linux/arm", 32, "Platform", `"linux/arm"`},
		{"POST /images/create?fromSrc=-&platform=linux/arm", 32, "Platform", `"linux/arm"`},
		{"POST /images/load?" + arm, 48, "Platforms", `["linux/arm/v7"]`},
		{"GET /images/get?names=x&" + arm, 48, "Platforms", `["linux/arm/v7"]`},
		{"GET /images/x/get?" + arm + "&" + amd, 52, "Platforms", `["linux/arm/v7","linux/amd64"]`},
		{"GET /images/json?manifests=1", 47, "Manifests", `true`},
		{"GET /images/json?identity=1", 54, "", "conflicting options: identity requires manifests=1"},
	} {
		for _, v := range []int{24, row.from - 1, row.from, 56} {
			method, path, _ := strings.Cut(row.line, " ")
			if row.from == 52 && v < 52 && v >= 48 {
				continue // refused, which another test shows
			}
			got = nil
			a := d.do(method, fmt.Sprintf("/v1.%d%s", v, path), "", "X-Registry-Auth", "e30=")
			switch {
			case v >= row.from && row.field == "":
				assert.Equal(t, a.StatusCode, 400, row.line)
				assert.Equal(t, a.message(), row.want)
			case row.field == "":
				assert.Equal(t, a.StatusCode, 200, "%s in 1.%d: %s", row.line, v, a.body)
			case v >= row.from:
				assert.Equal(t, field(t, got, row.field), row.want, "%s in 1.%d: %s", row.line, v, a.body)
			default:
				zero := map[byte]string{'[': "null", '"': `""`, 't': "false"}[row.want[0]]
				assert.Equal(t, field(t, got, row.field), zero, "%s in 1.%d: %s", row.line, v, a.body)
			}
		}
	}
	// And what an inspection of old has to have read.
	for v, want := range map[int]string{44: "true", 45: "false"} {
		d.get(fmt.Sprintf("/v1.%d/images/x/json", v))
		assert.Equal(t, field(t, got, "Builder"), want)
	}
	// Without a word progress is not asked for.
	for query, want := range map[string]string{"": "true", "?quiet=": "false", "?quiet=0": "false", "?quiet=1": "true"} {
		d.do("POST", "/images/load"+query, "")
		assert.Equal(t, field(t, got, "Quiet"), want, "%q", query)
	}
	// The colon of old clients that want all tags.
	d.do("POST", "/images/create?fromImage=host:5000/busybox:", "")
	assert.Equal(t, field(t, got, "Image")+field(t, got, "All"), `"host:5000/busybox"true`)
}

func field(t *testing.T, in any, name string) string {
	t.Helper()
	data, err := json.Marshal(in)
	assert.NilError(t, err)
	var fields map[string]json.RawMessage
	assert.NilError(t, json.Unmarshal(data, &fields), string(data))
	return string(fields[name])
}

// keep is a job with streams that does nothing but remember what it was given.
func keep[In, Open, Out any](got *any, open Open) func(context.Context, *engine.StreamJob[Open], In) (Out, error) {
	return func(_ context.Context, job *engine.StreamJob[Open], in In) (out Out, err error) {
		*got = in
		return out, job.Open(open)
	}
}

func TestPrunesStreamForThoseWhoAsk(t *testing.T) {
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.ImagePrune.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.ImagePruneIn) (out jobs.ImagePruneOut, err error) {
			out.SpaceReclaimed = 7
			return out, in.Filters.Check("label")
		})
	})
	const plain = `{"ImagesDeleted":null,"SpaceReclaimed":7}`
	for line, want := range map[string][2]string{
		"/images/prune":                {"application/json", plain},
		"/images/prune?stream=0":       {"application/json", plain},
		"/v1.55/images/prune?stream=1": {"application/json", plain},
		"/v1.56/images/prune?stream=1": {"application/jsonl", `{"aux":` + plain + `}`},
		"/volumes/prune?stream=1":      {"application/jsonl", `{"aux":{"VolumesDeleted":[],"SpaceReclaimed":0}}`},
	} {
		a := d.do("POST", line, "")
		assert.Equal(t, a.StatusCode, 200, line)
		assert.Equal(t, a.Header.Get("Content-Type"), want[0], line)
		assert.Equal(t, a.body, want[1]+"\n", line)
	}
	assert.Equal(t, d.do("POST", `/images/prune?stream=1&filters={"x":["y"]}`, "").StatusCode, 400)
}

func TestAttestationsAreNotKept(t *testing.T) {
	d := start(t, Options{}, nil)
	for version, status := range map[string]int{"/v1.54": 404, "/v1.55": 501, "": 501} {
		assert.Equal(t, d.get(version+"/images/a/b:c/attestations").StatusCode, status, version)
	}
}
