//go:build system

package test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/test/harness"
)

// The program dies, or fails, at every point that has a name. After a restart the
// verb has happened or it has not, and nothing is left of it in between.
func TestDeathAndFailureAtEveryFailpoint(t *testing.T) {
	root, err := harness.Root()
	assert.NilError(t, err)
	bin := filepath.Join(folder(t), "engine")
	run(t, "go", "build", "-C", root, "-tags", "seccomp netgo osusergo failpoints", "-o", bin, ".")
	t.Setenv("ENGINE_BIN", bin)
	c := newCrashes(t, startLoaded(t), 1)

	points := map[string][]string{
		"create": {failpoint.CreateFolder, failpoint.CreateLayer, failpoint.CreateRecord},
		"rm":     {failpoint.RemovalMarked, failpoint.RemovalLayer, failpoint.RemovalRecord},
		"load":   {failpoint.LayerFolder, failpoint.ImageRecord},
		"import": {failpoint.LayerFolder, failpoint.ImageRecord},
		"start":  {failpoint.ProcessMade, failpoint.ExitSaved},
	}
	for n := range 7 {
		points["start"] = append(points["start"], failpoint.StartStep+fmt.Sprint("@", n+1))
	}
	for _, verb := range []string{"load", "import", "rm", "create", "start"} {
		for _, point := range points[verb] {
			for _, action := range []string{"die", "fail"} {
				name, at := point, ""
				if i := len(failpoint.StartStep); len(point) > i && point[:i] == failpoint.StartStep {
					name, at = point[:i], point[i:]
				}
				if at == "@7" && action == "fail" {
					continue // after the last step nothing is taken back any more
				}
				when := fmt.Sprintf("%s: %s=%s%s", verb, name, action, at)
				var d *deed
				for i := 0; (verb == "start" || verb == "rm") && i < 2; i++ { // something to start or remove
					made := deeds["create"](c)
					assert.NilError(t, made.do(c.Daemon))
					c.check("a create without a fault", true, made)
				}
				d = deeds[verb](c)
				for verb == "rm" && c.now[d.about] != "created" {
					d = deeds[verb](c)
				}
				d.maybe = append(d.maybe, "created", "exited 128", "dead: ")
				assert.NilError(t, c.clearOthers(d), when)
				assert.NilError(t, c.Stop(), when)
				c.SetEnv("ENGINE_FAILPOINTS="+name+"="+action+at, "ENGINE_FAILPOINTS_DONE="+folder(t))
				assert.NilError(t, c.Start(), when)
				c.SetEnv()
				err := d.do(c.Daemon)
				select {
				case <-c.Done():
					c.restart(when)
				case <-time.After(300 * time.Millisecond):
				}
				c.check(when, err == nil, d)
			}
		}
	}
}

// clearOthers removes all containers but the one that a deed is about, so that no
// supervisor with failpoints of before lives on.
func (c *crashes) clearOthers(d *deed) error {
	for key, how := range c.now {
		if name, ok := cutContainer(key); ok && key != d.about && how != "created" {
			if err := c.JSON("DELETE", "/containers/"+name+"?force=1", nil, nil); err != nil {
				return err
			}
			delete(c.now, key)
			delete(d.after, key)
		}
	}
	return nil
}

func cutContainer(key string) (name string, ok bool) {
	if len(key) > 2 && key[:2] == "c " {
		return key[2:], true
	}
	return "", false
}
