package cgroupnames

import (
	"testing"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"
)

func TestTheDefaultIsSystemdOnlyWhereItOwnsTheOneTree(t *testing.T) {
	for _, c := range []struct {
		asked            string
		systemd, unified bool
		want, text       string
	}{
		{"", true, true, Systemd, ""},
		{"", true, false, Cgroupfs, ""},
		{"", false, true, Cgroupfs, ""},
		{"cgroupfs", true, true, Cgroupfs, ""},
		{"systemd", true, false, Systemd, ""},
		{"systemd", false, true, "", "systemd not running on this host, cannot use systemd cgroups manager"},
		{"none", true, true, "", "native.cgroupdriver option none is internally used and cannot be specified manually"},
		{"red", true, true, "", "native.cgroupdriver option red not supported"},
	} {
		got, err := pick(c.asked, c.systemd, c.unified)
		if c.text != "" {
			assert.ErrorContains(t, err, c.text)
			continue
		}
		assert.NilError(t, err)
		assert.Equal(t, got, c.want, "%+v", c)
	}
}

func TestASystemdParentIsASlice(t *testing.T) {
	for parent, text := range map[string]string{
		"":               "",
		"a.slice":        "",
		"a-b.slice":      "",
		"-.slice":        "",
		".slice":         `cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"`,
		"/engine":        `cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"`,
		"a.scope":        `cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"`,
		"a/b.slice":      "invalid slice name: a/b.slice",
		"a:b.slice":      "invalid slice name: a:b.slice",
		"a--b.slice":     "invalid slice name: a--b.slice",
		"-a.slice":       "invalid slice name: -a.slice",
		"a-.slice":       "invalid slice name: a-.slice",
		"../a.slice":     `invalid cgroup parent`,
		"a\n.slice":      `invalid cgroup parent`,
		"x/../../.slice": `invalid cgroup parent`,
	} {
		err := CheckParent(Systemd, parent)
		if text == "" {
			assert.Check(t, err, parent)
			continue
		}
		assert.ErrorContains(t, err, text, parent)
		assert.Check(t, errdefs.IsInvalidArgument(err), parent)
	}
	assert.NilError(t, CheckParent(Cgroupfs, "/any/thing"))
	assert.ErrorContains(t, CheckParent(Cgroupfs, "/any/../../thing"), "..")
}

func TestTheFormOfANameTellsItsManager(t *testing.T) {
	for _, parent := range []string{"engine", "/engine/a:b:c", "a:b"} {
		p := Path(Cgroupfs, parent, "1234")
		assert.Check(t, !IsSystemd(p), p)
	}
	assert.Equal(t, Path(Cgroupfs, "engine", "1234"), "/engine/1234")
	assert.Equal(t, Path(Systemd, DefaultParent(Systemd), "1234"), "engine.slice:engine:1234")
	assert.Check(t, IsSystemd("engine.slice:engine:1234"))
	assert.Check(t, !IsSystemd(""))
}
