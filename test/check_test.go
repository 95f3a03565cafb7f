//go:build system

package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func TestSystemCheckFindsDamageAndRepairsWhatItCan(t *testing.T) {
	e := startLoaded(t)
	assert.NilError(t, createContainer(e.Daemon, "one", stays))
	assert.NilError(t, createContainer(e.Daemon, "hurt", ends))
	e.must("start", "one")
	assert.Equal(t, e.must("system", "check"), "Nothing is damaged, and nothing is there that nobody owns.")
	id := e.must("inspect", "-f", "{{.Id}}", "hurt")

	unowned := filepath.Join(e.DataRoot, "overlay2", strings.Repeat("ab", 32))
	run(t, "cp", "-a", filepath.Join(e.DataRoot, "overlay2", id), unowned)
	assert.NilError(t, os.RemoveAll(filepath.Join(e.DataRoot, "overlay2", id, "diff")))
	left := filepath.Join(e.DataRoot, "containers", ".new-0123456789abcdef")
	assert.NilError(t, os.WriteFile(left, []byte("x"), 0o600))
	record := filepath.Join(e.DataRoot, "containers", e.must("inspect", "-f", "{{.Id}}", "one"), "container.json")
	assert.NilError(t, os.Truncate(record, 3))

	type finding struct {
		Kind, Object, Problem, Action string
		Repaired                      bool
	}
	check := func(code int, args ...string) map[string]finding {
		t.Helper()
		res := e.any(append([]string{"system", "check", "--format", "json"}, args...)...)
		assert.Equal(t, res.Code, code, "%s", res)
		var list []finding
		assert.NilError(t, json.Unmarshal([]byte(res.Stdout), &list))
		found := map[string]finding{}
		for _, f := range list {
			found[f.Kind+" "+filepath.Base(f.Object)] = f
		}
		return found
	}
	found := check(1)
	assert.Equal(t, len(found), 4, "%v", found)
	for _, f := range found {
		assert.Assert(t, !f.Repaired && f.Problem != "" && f.Action != "", "%+v", f)
	}
	res := e.any("system", "check")
	assert.Assert(t, strings.HasPrefix(res.Stdout, "KIND ") && strings.Contains(res.Stdout, id), "%s", res)

	found = check(1, "--repair")
	assert.Equal(t, len(found), 4, "%v", found)
	for key, f := range found {
		assert.Equal(t, f.Repaired, key != "container "+id, "%+v", f)
	}
	for _, path := range []string{unowned, left} {
		_, err := os.Stat(path)
		assert.Assert(t, os.IsNotExist(err), path)
	}
	assert.NilError(t, execIn(e.Daemon, "one"))
	e.must("rm", "hurt")
	assert.Equal(t, len(check(0)), 0)
	e.Kill()
	assert.NilError(t, e.Start())
	assert.NilError(t, execIn(e.Daemon, "one"))
	assert.Equal(t, len(check(0)), 0)
}
