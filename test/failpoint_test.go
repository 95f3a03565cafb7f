//go:build system

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/test/harness"
)

// withFailpoints builds a program that has them, for the daemons of this test.
func withFailpoints(t *testing.T) {
	t.Helper()
	if bin := os.Getenv("ENGINE_FAILPOINTS_BIN"); bin != "" { // built before, for those who run this often
		t.Setenv("ENGINE_BIN", bin)
		return
	}
	root, err := harness.Root()
	assert.NilError(t, err)
	bin := filepath.Join(folder(t), "engine")
	run(t, "go", "build", "-C", root, "-tags", "seccomp netgo osusergo failpoints", "-o", bin, ".")
	t.Setenv("ENGINE_BIN", bin)
}

// fault is a point and what happens there, as ENGINE_FAILPOINTS has it.
type fault struct{ verb, point, action, at string }

func (f fault) String() string { return fmt.Sprintf("%s: %s=%s%s", f.verb, f.point, f.action, f.at) }

func (f fault) env(t *testing.T) []string {
	return []string{"ENGINE_FAILPOINTS=" + f.point + "=" + f.action + f.at, "ENGINE_FAILPOINTS_DONE=" + folder(t)}
}

// faults lists both things that can happen at each point.
func faults(verb string, points ...string) (all []fault) {
	for _, point := range points {
		name, at, _ := strings.Cut(point, "@")
		if at != "" {
			at = "@" + at
		}
		all = append(all, fault{verb, name, "die", at}, fault{verb, name, "fail", at})
	}
	return all
}

// The program dies, or fails, at every point that has a name. After a restart the
// verb has happened or it has not, and nothing is left of it in between.
func TestDeathAndFailureAtEveryFailpoint(t *testing.T) {
	withFailpoints(t)
	c := newCrashes(t, startLoaded(t), 1)
	all := slices.Concat(
		faults("load", failpoint.GraphCreate, failpoint.GraphApply, failpoint.LayerFolder, failpoint.ImageRecord),
		faults("import", failpoint.GraphCreate, failpoint.GraphApply, failpoint.LayerFolder, failpoint.ImageRecord),
		faults("tag", failpoint.NameRecord),
		faults("rm", failpoint.RemovalMarked, failpoint.RemovalLayer, failpoint.GraphRemove, failpoint.RemovalRecord),
		faults("create", failpoint.CreateFolder, failpoint.GraphCreate, failpoint.CreateLayer, failpoint.CreateRecord),
		faults("commit", failpoint.GraphCreate, failpoint.GraphApply, failpoint.LayerFolder, failpoint.ImageRecord),
		faults("start", failpoint.GraphMount, failpoint.ProcessMade, failpoint.ExecCreate, failpoint.StartSaved, failpoint.ExecStart),
		faults("exec", failpoint.ExecExec, failpoint.ExecMade),
		faults("stop", failpoint.ExitSaved, failpoint.ExecDelete, failpoint.ExitRecorded),
	)
	for n := range 7 {
		more := faults("start", failpoint.StartStep+fmt.Sprint("@", n+1))
		if n == 6 {
			more = more[:1] // after the last step nothing is taken back any more
		}
		all = append(all, more...)
	}
	for _, f := range all {
		c.at(f)
	}
}

// vfs has its own code at the same points.
func TestDeathAndFailureInsideAnotherGraphDriver(t *testing.T) {
	withFailpoints(t)
	c := newCrashes(t, startLoaded(t, "--storage-driver", "vfs"), 1)
	c.opaque = true
	for _, f := range slices.Concat(
		faults("load", failpoint.GraphCreate, failpoint.GraphApply),
		faults("create", failpoint.GraphCreate),
		faults("start", failpoint.GraphMount),
		faults("rm", failpoint.GraphRemove),
	) {
		c.at(f)
	}
}

// at does a verb with a fault, looks at what is there then, and does it again
// without one.
func (c *crashes) at(f fault) {
	c.t.Helper()
	when := f.String()
	plain := func(verb string) {
		c.t.Helper()
		d := deeds[verb](c)
		assert.NilError(c.t, d.do(c.Daemon), "%s: before it, %s", when, verb)
		c.check(when+": before it, "+verb, true, d)
	}
	running := f.verb == "exec" || f.verb == "stop"
	assert.NilError(c.t, c.clearOthers(), when)
	for range 2 { // something to work on
		plain("create")
	}
	for c.stayer() == "" {
		plain("create")
	}
	if f.verb == "tag" {
		plain("import")
	}
	assert.NilError(c.t, c.Stop(), when)
	env := f.env(c.t)
	c.SetEnv(env...)
	assert.NilError(c.t, c.Start(), when)
	c.SetEnv()
	if running {
		name := c.stayer()
		assert.NilError(c.t, c.JSON("POST", "/containers/"+name+"/start", nil, nil), when)
		c.now["c "+name] = "running"
		eventually(c.t, "the trap of "+name, func() bool { return catchesTERM(c.Daemon, name) })
	}
	d := deeds[f.verb](c)
	for f.verb == "rm" && c.now[d.about] != "created" {
		d = deeds[f.verb](c)
	}
	d.maybe = append(d.maybe, "created", "exited 128", "dead: ")
	err := d.do(c.Daemon)
	_, noted, _ := strings.Cut(env[1], "=")
	eventually(c.t, when+" is reached", func() bool {
		_, err := os.Stat(filepath.Join(noted, f.point))
		return err == nil
	})
	inSupervisor := strings.HasPrefix(f.point, "supervisor.") || strings.HasPrefix(f.point, "execdriver.")
	if f.action == "die" && !inSupervisor {
		<-c.Done()
		c.restart(when)
	}
	c.check(when, err == nil, d)
	for key, how := range c.now {
		if name, ok := strings.CutPrefix(key, "c "); ok && strings.HasPrefix(how, "dead") {
			assert.NilError(c.t, c.JSON("DELETE", "/containers/"+name+"?force=1", nil, nil), when)
			delete(c.now, key)
		}
	}
	assert.NilError(c.t, ownedAtLast(c.Daemon), "%s: after a second removal", when)
	if again := deeds[f.verb](c); again != nil {
		assert.NilError(c.t, again.do(c.Daemon), "%s: again", when)
		c.check(when+": again", true, again)
	}
}

// stayer gives a created container that will run until it is stopped.
func (c *crashes) stayer() string {
	for key, how := range c.now {
		if name, ok := strings.CutPrefix(key, "c "); ok && how == "created" && strings.HasPrefix(name, "c") {
			return name
		}
	}
	return ""
}

// catchesTERM says whether a container's first process is so far: without a handler
// the kernel ignores the signal, and the program that becomes the user's has one.
func catchesTERM(d *harness.Daemon, name string) bool {
	var info struct{ State struct{ Pid int } }
	if err := d.JSON("GET", "/containers/"+name+"/json", nil, &info); err != nil {
		return false
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", info.State.Pid))
	_, mask, _ := strings.Cut(string(text), "SigCgt:")
	var caught uint64
	_, err := fmt.Sscanf(mask, "%x", &caught)
	return err == nil && strings.HasPrefix(string(text), "Name:\tsh\n") && caught&(1<<(syscall.SIGTERM-1)) != 0
}

// clearOthers removes all containers, so that no supervisor with failpoints of
// before lives on.
func (c *crashes) clearOthers() error {
	for key := range c.now {
		if name, ok := strings.CutPrefix(key, "c "); ok {
			if err := c.JSON("DELETE", "/containers/"+name+"?force=1", nil, nil); err != nil {
				return err
			}
			delete(c.now, key)
		}
	}
	return nil
}

// A point that pauses lets a test look at what is half done: the name is taken,
// and nothing is listed.
func TestWhatIsHalfMadeIsNotListedAndHasItsName(t *testing.T) {
	withFailpoints(t)
	e := startLoaded(t)
	assert.NilError(t, e.Stop())
	f := fault{"create", failpoint.CreateLayer, "pause", ""}
	env := f.env(t)
	e.SetEnv(env...)
	assert.NilError(t, e.Start())
	made := make(chan error, 1)
	go func() { made <- createContainer(e.Daemon, "web", stays) }()
	_, noted, _ := strings.Cut(env[1], "=")
	eventually(t, "the pause", func() bool {
		_, err := os.Stat(filepath.Join(noted, f.point))
		return err == nil
	})
	// Whoever asks now is kept waiting or told of a conflict, as the first is not through.
	second := createContainer(e.Daemon, "web", stays)
	assert.ErrorContains(t, second, "is already in use")
	assert.NilError(t, <-made)
	assert.Equal(t, e.must("ps", "-a", "--format", "{{.Names}}"), "web")
	e.must("rm", "web")
	assert.NilError(t, ownedAtLast(e.Daemon))
}

// networksOf gives what the host of the daemon has of networks: the bridges by
// the beginning of their networks' ids, and the number of ends of pairs.
func networksOf(t *testing.T, in func(line string) string) (bridges []string, pairs int) {
	t.Helper()
	for line := range strings.Lines(in("ip -o link show")) {
		fields := strings.Fields(line)
		name, _, _ := strings.Cut(strings.TrimSuffix(fields[1], ":"), "@")
		if id, ok := strings.CutPrefix(name, "br-"); ok {
			bridges = append(bridges, id)
		} else if name != "lo" && strings.Contains(fields[1], "@") {
			pairs++
		}
	}
	slices.Sort(bridges)
	return bridges, pairs
}

// Networks and their endpoints are whole or not there, and the same can be done again.
func TestDeathAndFailureInsideNetworkVerbs(t *testing.T) {
	withFailpoints(t)
	holder := exec.Command("unshare", "-n", "sh", "-c", "ip link set lo up && echo up && exec sleep 1000")
	ready, err := holder.StdoutPipe()
	assert.NilError(t, err)
	assert.NilError(t, holder.Start())
	t.Cleanup(func() { holder.Process.Kill(); holder.Wait() })
	_, err = ready.Read(make([]byte, 3))
	assert.NilError(t, err)
	space := fmt.Sprintf("--net=/proc/%d/ns/net", holder.Process.Pid)
	inside := func(line string) string {
		out, err := exec.Command("nsenter", space, "sh", "-c", line).CombinedOutput()
		assert.NilError(t, err, "%s", out)
		return string(out)
	}
	e := startWith(t, harness.Options{Wrap: []string{"nsenter", space}})
	e.load()
	for _, f := range slices.Concat(faults("create", failpoint.NetworkRecord), faults("connect", failpoint.EndpointMade), faults("disconnect", failpoint.EndpointLeaves)) {
		for n, name := range []string{"one", "two"} {
			if f.verb == "create" && n == 1 {
				continue
			}
			e.must("network", "create", name)
		}
		e.must("create", "--name", "web", "--network", "one", "busybox", "sleep", "1000")
		if f.verb == "disconnect" {
			e.must("network", "connect", "two", "web")
		}
		assert.NilError(t, e.Stop())
		e.SetEnv(f.env(t)...)
		assert.NilError(t, e.Start())
		e.SetEnv()
		e.must("start", "web")
		verb := []string{"network", "create", "two"}
		if f.verb != "create" {
			verb = []string{"network", f.verb, "two", "web"}
		}
		res, err := e.Run(e.cli, verb...)
		assert.NilError(t, err)
		assert.Assert(t, res.Code != 0, "%s: %s", f, res)
		if f.action == "die" {
			<-e.Done()
			assert.NilError(t, e.Start())
		}
		// It has happened or not.
		listed := strings.Fields(e.must("network", "ls", "-q", "--filter", "driver=bridge"))
		slices.Sort(listed)
		eventually(t, f.String()+": bridges as listed", func() bool {
			bridges, _ := networksOf(t, inside)
			return slices.Equal(bridges, listed)
		})
		joined := len(strings.Fields(e.must("inspect", "-f", "{{range $n, $_ := .NetworkSettings.Networks}}{{$n}} {{end}}", "web")))
		assert.Assert(t, joined == 1 || joined == 2 && f.verb != "create", f)
		eventually(t, f.String()+": as many ends as are listed", func() bool {
			_, pairs := networksOf(t, inside)
			return pairs == joined && strings.Count(e.must("exec", "web", "ip", "-o", "link"), " eth") == joined
		})
		// The same again.
		if f.verb == "create" && len(listed) == 2 {
			e.must("network", "rm", "two")
		} else if joined == 2 && f.verb == "connect" {
			e.must("network", "disconnect", "two", "web")
		} else if joined == 1 && f.verb == "disconnect" {
			e.must("network", "connect", "two", "web")
		}
		e.must(verb...)
		if f.verb != "connect" {
			e.must("network", "connect", "two", "web")
		}
		assert.Equal(t, strings.Count(e.must("exec", "web", "ip", "-o", "link"), " eth"), 2)
		e.must("rm", "-f", "web")
		e.must("network", "rm", "one", "two")
		bridges, pairs := networksOf(t, inside)
		assert.Equal(t, len(bridges)+pairs, 0, f)
	}
}
