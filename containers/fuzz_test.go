package containers

import (
	"encoding/json"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/containers/request"
	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/jobs"
)

func FuzzParseBind(f *testing.F) {
	for _, seed := range []string{"/a:/b", "/a:/b:ro", "/a:/b:ro,rslave", "name:/b", ":/b", "/a:/", "/a:/../..", "/a:/b:z,Z", "a", "/a:/b\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := request.ParseBind(text)
		if err != nil {
			return
		}
		for _, at := range []string{p.Source, p.Destination} {
			if !path.IsAbs(at) || path.Clean(at) != at || strings.ContainsAny(at, "\x00:") {
				t.Errorf("%q gives %q", text, at)
			}
		}
		if p.Destination == "/" {
			t.Errorf("%q is mounted over the root", text)
		}
	})
}

func FuzzTmpfsOptions(f *testing.F) {
	for _, seed := range []string{"", "size=1m,exec", "rw,ro", "mode=1777", "size=", "lowerdir=/", "shared"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := spec.TmpfsOptions(text)
		if err != nil {
			return
		}
		for _, o := range got {
			if strings.HasPrefix(o, "lowerdir") || strings.HasPrefix(o, "context") || strings.Contains(o, ",") {
				t.Errorf("%q lets %q through", text, o)
			}
		}
	})
}

func FuzzDeviceRule(f *testing.F) {
	f.Add("c 1:3 rwm")
	f.Add("a *:* rwm")
	f.Add("b 7:* m")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := spec.ParseDeviceRule(text)
		if err == nil && (!r.Allow || strings.Trim(r.Access, "rwm") != "" || r.Access == "") {
			t.Errorf("%q gives %+v", text, r)
		}
	})
}

// FuzzHostConfig: whatever a client sends, create answers; what it takes can be
// made a spec of.
func FuzzHostConfig(f *testing.F) {
	for _, r := range requests {
		if r.host != "" {
			f.Add(r.host)
		}
	}
	f.Add(`{"Memory":67108864,"NanoCpus":1500000000,"Ulimits":[{"Name":"nofile","Soft":1,"Hard":2}],"Tmpfs":{"/t":"size=1m"},"CapDrop":["ALL"]}`)
	w := &world{runtime: newStandIn(), images: newOneImage()}
	c := &Containers{networks: noNetworks{}, cfg: Config{ExecDriver: "native", DefaultLog: "json-file", CgroupParent: "engine"}, images: w.images, host: newHost(true), dir: "/nowhere"}
	c.rules = c.newRules()
	f.Fuzz(func(t *testing.T, text string) {
		hc := &container.HostConfig{}
		if json.Unmarshal([]byte(text), hc) != nil {
			return
		}
		s, _, _, err := c.plan(ctx, jobs.CreateIn{Config: &container.Config{Image: "busybox"}, HostConfig: hc})
		if err != nil {
			if err.Error() == "" {
				t.Errorf("%s: refused without a word", text)
			}
			return
		}
		_, err = spec.Make(spec.Input{ID: s.ID, Rootfs: "/r", Path: s.Path, Config: s.Config, HostConfig: s.HostConfig, CgroupsPath: "/engine/c", Host: c.host.spec()})
		if err != nil {
			t.Errorf("%s is taken, but: %v", text, err)
		}
		if path, err := c.cgroup(s); err != nil || !strings.HasPrefix(path, "/") || strings.Contains(path+"/", "/../") {
			t.Errorf("%s leaves the cgroup hierarchy: %s %v", text, path, err)
		}
	})
}

// FuzzRecord: a record of any bytes is read or shown as damaged.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"Format":1,"ID":"aaaaaaaaaaaaaaaa","Name":"n","ImageID":"i","Config":{},"HostConfig":{}}`))
	f.Add([]byte(`{"Format":1,"ID":"aaaaaaaaaaaaaaaa","Name":"n","ImageID":"i","Config":{"ExposedPorts":{"x":{}}},"HostConfig":{"Dns":["x"]}}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, text []byte) {
		id := "aaaaaaaaaaaaaaaa"
		c := &Containers{networks: noNetworks{}, dir: t.TempDir(), fsys: durable.OS}
		assert.NilError(t, os.Mkdir(c.path(id), 0o710))
		assert.NilError(t, os.WriteFile(c.recordPath(id), text, 0o600))
		s, err := c.read(id)
		if err == nil && (s.ID != id || s.Config == nil || s.HostConfig == nil || s.Name == "") {
			t.Errorf("%q makes a container of holes: %+v", text, s)
		}
	})
}
