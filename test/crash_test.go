//go:build system

package test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
	"github.com/jobengine/engine/test/leak"
)

// A deed is one verb on its way.
type deed struct {
	what  string
	do    func(d *harness.Daemon) error // nil: it was acknowledged
	after state                         // what is shown then
	// maybe lists what else a deed that was cut off may leave of what it is about.
	about string
	maybe []string
	// from and to are the keys of a container that gets another name.
	from, to string
}

// crashes is a daemon with a model of what was acknowledged.
type crashes struct {
	*engine
	rng     *rand.Rand
	now     state
	unsure  map[string][]string  // what containers that are shown as running may turn out to be
	files   map[string][]content // of images by id, from the top
	serial  int
	usual   map[string]time.Duration // how long a verb takes
	slowest time.Duration            // restart
	without bool                     // there is no commit
	opaque  bool                     // the files of layers are not looked at
}

func newCrashes(t *testing.T, e *engine, seed uint64) *crashes {
	c := &crashes{
		engine: e, rng: rand.New(rand.NewPCG(seed, 7)), unsure: map[string][]string{}, files: map[string][]content{}, usual: map[string]time.Duration{},
	}
	var err error
	c.now, err = observe(e.Daemon)
	assert.NilError(t, err)
	code, _, _, err := e.Do("POST", "/commit?container=none", nil)
	assert.NilError(t, err)
	c.without = code == 501
	return c
}

func (c *crashes) name(kind string) string {
	c.serial++
	return fmt.Sprintf("%s%d", kind, c.serial)
}

// pick gives a key of the state that has a prefix and value, "" if there is none.
func (c *crashes) pick(kind, value string) string {
	var keys []string
	for key, v := range c.now {
		if rest, ok := strings.CutPrefix(key, kind+" "); ok && strings.HasPrefix(v, value) &&
			!strings.HasPrefix(rest, "busybox") {
			keys = append(keys, strings.TrimPrefix(rest, "<none> "))
		}
	}
	slices.Sort(keys)
	if len(keys) == 0 {
		return ""
	}
	return keys[c.rng.IntN(len(keys))]
}

const (
	stays = "trap 'exit 5' TERM; while :; do sleep 0.02; done"
	ends  = "exit 3"
)

// deeds are the verbs; one that has nothing to work on gives no deed.
var deeds = map[string]func(c *crashes) *deed{
	"create": func(c *crashes) *deed {
		name, script := c.name("c"), stays
		if c.rng.IntN(3) == 0 {
			name, script = c.name("e"), ends
		}
		return &deed{
			do:    func(d *harness.Daemon) error { return createContainer(d, name, script) },
			after: c.now.with("c "+name, "created"),
		}
	},
	"start": func(c *crashes) *deed {
		name := c.pick("c", "created")
		if name == "" {
			name = c.pick("c", "exited")
		}
		if name == "" {
			return nil
		}
		d := &deed{
			do:    func(d *harness.Daemon) error { return d.JSON("POST", "/containers/"+name+"/start", nil, nil) },
			after: c.now.with("c "+name, "running"), about: "c " + name, maybe: []string{"exited 255"},
		}
		if strings.HasPrefix(name, "e") {
			d.after, d.maybe = c.now.with("c "+name, "exited 3"), []string{"running", "exited 255"}
		}
		return d
	},
	"exec": func(c *crashes) *deed {
		name := c.pick("c", "running")
		if name == "" {
			return nil
		}
		return &deed{do: func(d *harness.Daemon) error { return execIn(d, name) }, after: c.now}
	},
	"stop": func(c *crashes) *deed {
		name := c.pick("c", "running")
		if name == "" {
			return nil
		}
		return &deed{
			do:    func(d *harness.Daemon) error { return d.JSON("POST", "/containers/"+name+"/stop?t=10", nil, nil) },
			after: c.now.with("c "+name, "exited 5"), about: "c " + name, maybe: []string{"running", "exited 255"},
		}
	},
	"rm": func(c *crashes) *deed {
		name := c.pick("c", "")
		if name == "" {
			return nil
		}
		return &deed{
			do:    func(d *harness.Daemon) error { return d.JSON("DELETE", "/containers/"+name+"?force=1", nil, nil) },
			after: c.now.with("c "+name, ""), about: "c " + name, maybe: []string{"exited 137", "exited 255"},
		}
	},
	"rename": func(c *crashes) *deed {
		name := c.pick("c", "")
		if name == "" {
			return nil
		}
		next := c.name(name[:1])
		return &deed{
			do: func(d *harness.Daemon) error {
				return d.JSON("POST", "/containers/"+name+"/rename?name="+next, nil, nil)
			},
			after: c.now.with("c "+next, c.now["c "+name], "c "+name, ""), from: "c " + name, to: "c " + next,
		}
	},
	"load": func(c *crashes) *deed {
		tag := c.name("load") + ":latest"
		layers := []content{{"base": bulk("base", 300_000)}, {"file": bulk(tag, 200_000), "dir/more": tag}}
		archive := harness.ImageArchive(tag, [][]byte{layers[0].tar(), layers[1].tar()}, nil)
		id := archiveID(archive)
		c.files[id] = []content{layers[1], layers[0]}
		return &deed{
			do: func(d *harness.Daemon) error {
				code, text, _, err := d.Do("POST", "/images/load?quiet=1", bytes.NewReader(archive))
				if err == nil && (code != 200 || strings.Contains(text, `"error"`)) {
					err = fmt.Errorf("load: %d %s", code, text)
				}
				return err
			},
			after: c.now.with("i "+tag, id),
		}
	},
	"import": func(c *crashes) *deed {
		name := c.name("import")
		tar := content{"file": bulk(name, 200_000)}
		return &deed{
			do: func(d *harness.Daemon) error {
				code, text, _, err := d.Do("POST", "/images/create"+query("fromSrc", "-", "repo", name, "tag", "latest"), bytes.NewReader(tar.tar()))
				if err == nil && (code != 200 || strings.Contains(text, `"error"`) || !strings.Contains(text, "sha256:")) {
					err = fmt.Errorf("import: %d %s", code, text)
				}
				return err
			},
			after: c.now.with("i "+name+":latest", anyID),
		}
	},
	"commit": func(c *crashes) *deed {
		name := c.pick("c", "")
		if name == "" || c.without {
			return nil
		}
		repo := c.name("commit")
		return &deed{
			do: func(d *harness.Daemon) error {
				return d.JSON("POST", "/commit"+query("container", name, "repo", repo, "tag", "latest", "pause", "0"), nil, nil)
			},
			after: c.now.with("i "+repo+":latest", anyID),
		}
	},
	"tag": func(c *crashes) *deed {
		from := c.pick("i", "")
		if from == "" || !strings.Contains(from, ":") {
			return nil
		}
		to := c.name("tag") + ":latest"
		if moved := c.pick("i", ""); c.rng.IntN(2) == 0 && moved != from && strings.Contains(moved, ":") {
			to = moved // takes the name away from another
		}
		after := c.now.with("i "+to, c.now["i "+from])
		return &deed{
			do: func(d *harness.Daemon) error {
				repo, tag, _ := strings.Cut(to, ":")
				return d.JSON("POST", "/images/"+from+"/tag"+query("repo", repo, "tag", tag), nil, nil)
			},
			after: after.settled(c.now),
		}
	},
	"rmi": func(c *crashes) *deed {
		tag := c.pick("i", "")
		if tag == "" {
			return nil
		}
		return &deed{
			do:    func(d *harness.Daemon) error { return d.JSON("DELETE", "/images/"+tag, nil, nil) },
			after: c.now.with("i "+tag, "", "i <none> "+tag, ""),
		}
	},
}

// settled adds the images that have lost their last name since before.
func (s state) settled(before state) state {
	have := map[string]bool{}
	for key, id := range s {
		if strings.HasPrefix(key, "i ") {
			have[id] = true
		}
	}
	for key, id := range before {
		if strings.HasPrefix(key, "i ") && !have[id] {
			s["i <none> "+id[7:19]] = id
		}
	}
	return s
}

func createContainer(d *harness.Daemon, name, script string) error {
	return d.JSON("POST", "/containers/create?name="+name, map[string]any{
		"Image": "busybox", "Cmd": []string{"sh", "-c", script}, "HostConfig": map[string]any{"NetworkMode": "none"},
	}, nil)
}

func execIn(d *harness.Daemon, name string) error {
	var made struct {
		ID string `json:"Id"`
	}
	err := d.JSON("POST", "/containers/"+name+"/exec", map[string]any{"Cmd": []string{"sh", "-c", "exit 9"}, "AttachStdout": true}, &made)
	if err != nil {
		return err
	}
	if err := d.JSON("POST", "/exec/"+made.ID+"/start", map[string]any{}, nil); err != nil {
		return err
	}
	var info struct {
		Running  bool
		ExitCode int
	}
	for range 100 {
		if err := d.JSON("GET", "/exec/"+made.ID+"/json", nil, &info); err != nil {
			return err
		}
		if !info.Running {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if info.Running || info.ExitCode != 9 {
		return fmt.Errorf("exec of exit 9 ended as %+v", info)
	}
	return nil
}

func archiveID(archive []byte) string {
	f, err := os.CreateTemp("", "engine-test-archive-")
	if err != nil {
		panic(err)
	}
	defer os.Remove(f.Name())
	f.Write(archive)
	f.Close()
	id, err := harness.ArchiveImageID(f.Name())
	if err != nil {
		panic(err)
	}
	return "sha256:" + id
}

// next chooses a verb that has something to work on.
func (c *crashes) next() (string, *deed) {
	names := slices.Sorted(maps.Keys(deeds))
	for {
		verb := names[c.rng.IntN(len(names))]
		containers, images := 0, 0
		for key := range c.now {
			if strings.HasPrefix(key, "c ") {
				containers++
			} else {
				images++
			}
		}
		switch { // small numbers keep the rounds quick
		case verb == "create" && containers > 5:
			continue
		case images > 12 && slices.Contains([]string{"load", "import", "commit", "tag"}, verb):
			verb = "rmi"
		}
		if d := deeds[verb](c); d != nil {
			return verb, d
		}
	}
}

// victims are the processes that a round kills.
func (c *crashes) victims() (supervisor int, which string) {
	switch c.rng.IntN(4) {
	case 0:
		return c.supervisor(), "supervisor"
	case 1:
		return c.supervisor(), "both"
	}
	return 0, "daemon"
}

func (c *crashes) supervisor() int {
	for _, pid := range leak.Helpers(c.Dir) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.HasPrefix(string(text), "engine-supervisor") {
			return pid
		}
	}
	return 0
}

// round does one deed, kills in the middle, and looks what is there then.
func (c *crashes) round(n int) {
	c.t.Helper()
	verb, deed := c.next()
	sup, which := c.victims()
	usual := c.usual[verb]
	if usual == 0 {
		usual = 60 * time.Millisecond
	}
	delay := time.Duration(c.rng.Int64N(int64(usual * 5 / 4)))
	begun := time.Now()
	answered := make(chan error, 1)
	go func() {
		err := deed.do(c.Daemon)
		if err == nil {
			c.tellUsual(verb, time.Since(begun))
		}
		answered <- err
	}()
	time.Sleep(delay)
	if which != "daemon" && sup > 0 {
		syscall.Kill(sup, syscall.SIGKILL)
	}
	if which != "supervisor" {
		c.Kill()
	}
	err := <-answered
	when := fmt.Sprintf("round %d: %s, %s killed after %s, answer: %v", n, verb, which, delay, err)
	if which != "supervisor" {
		c.restart(when)
	}
	c.check(when, err == nil, deed)
}

func (c *crashes) tellUsual(verb string, took time.Duration) {
	if c.usual[verb] == 0 {
		c.usual[verb] = took
	}
	c.usual[verb] = (3*c.usual[verb] + took) / 4
}

// restart must succeed the first time.
func (c *crashes) restart(when string) {
	c.t.Helper()
	begun := time.Now()
	assert.NilError(c.t, c.Start(), when)
	c.slowest = max(c.slowest, time.Since(begun))
}

// check compares what is there with what was acknowledged.
func (c *crashes) check(when string, acknowledged bool, deed *deed) {
	c.t.Helper()
	if !acknowledged && deed.about != "" {
		time.Sleep(300 * time.Millisecond) // a signal that was sent may still take effect
	}
	var found state
	var wrong string
	// What was begun may go on for a moment: an end that is being recorded, a
	// supervisor that is being replaced.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var err error
		found, err = observe(c.Daemon)
		assert.NilError(c.t, err, when)
		if wrong = c.settled(deed.after, found, acknowledged, deed).difference(found); wrong == "" {
			break
		}
		if !acknowledged {
			before := c.settled(c.now, found, false, deed)
			if before.difference(found) == "" {
				wrong = ""
				break
			}
			if deed.leaves(before, found) {
				wrong = ""
				break
			}
		}
		if time.Now().After(deadline) {
			break
		}
	}
	if wrong != "" {
		c.t.Fatalf("%s: %s\nbefore:%s\nnow:%s\nlog:\n%s", when, wrong, c.now, found, lastLines(c.Log(), 30))
	}
	c.now = found
	if how := c.unsure[deed.from]; how != nil && found[deed.to] != "" {
		c.unsure[deed.to] = how
	}
	if !acknowledged && deed.about != "" {
		c.unsure[deed.about] = append(slices.Clone(deed.maybe), deed.after[deed.about])
	}
	maps.DeleteFunc(c.unsure, func(key string, _ []string) bool { return found[key] != "running" })
	for id, layers := range c.files {
		if c.opaque {
			break
		}
		for key, have := range found {
			if have == id {
				assert.NilError(c.t, hollow(c.Daemon, id, layers...), "%s: %s", when, key)
				break
			}
		}
	}
	if err := ownedAtLast(c.Daemon); err != nil {
		c.t.Fatalf("%s: %v\nlog:\n%s", when, err, lastLines(c.Log(), 30))
	}
}

// settled is a state in which the containers are what they have turned out to be since. One
// whose stop was cut off is shown as running for as long as its process has not taken the
// signal; and if all who could have seen its end were killed too, until a supervisor has
// lived long enough to be sure that nobody will tell it.
func (c *crashes) settled(s, found state, acknowledged bool, d *deed) state {
	for key, how := range c.unsure {
		if acknowledged && s[key] == "" { // removed, or renamed
			continue
		}
		if now := found[key]; now != "running" && slices.Contains(how, now) {
			s = s.with(key, now)
		}
		// A rename takes the doubt along.
		if now := found[d.to]; key == d.from && now != "running" && s[d.to] != "" && slices.Contains(how, now) {
			s = s.with(d.to, now)
		}
	}
	return s
}

// leaves tells whether found is the state before, but for what the deed is
// about, which has one of the values in between.
func (d *deed) leaves(before, found state) bool {
	return slices.ContainsFunc(d.maybe, func(how string) bool { return before.with(d.about, how).difference(found) == "" })
}

func rounds(quick int) int {
	if n, err := strconv.Atoi(os.Getenv("TORTURE_ROUNDS")); err == nil && n > 0 {
		return n
	}
	return quick
}

func seed(t *testing.T) uint64 {
	n := uint64(1)
	if given, err := strconv.ParseUint(os.Getenv("TORTURE_SEED"), 10, 64); err == nil {
		n = given
	}
	t.Logf("TORTURE_SEED=%d", n)
	return n
}

// Daemon, supervisor or both are killed at random instants inside every verb.
// All that was acknowledged is there and whole after a restart that succeeds the
// first time, nothing half-made is listed, and nothing is left that nobody owns.
func TestKillsInsideEveryVerbLoseNothingAndLeaveNothing(t *testing.T) {
	c := newCrashes(t, startLoaded(t), seed(t))
	n := rounds(24)
	for i := range n {
		c.round(i)
	}
	// What there is still works.
	for key, how := range c.now {
		name, ours := strings.CutPrefix(key, "c ")
		if !ours {
			continue
		}
		if c.unsure[key] != nil {
			_, _, _, err := c.Do("POST", "/containers/"+name+"/stop?t=10", nil)
			assert.NilError(t, err)
			how = "exited"
		}
		if how != "running" {
			assert.NilError(t, c.JSON("POST", "/containers/"+name+"/start", nil, nil))
		}
		if strings.HasPrefix(name, "c") {
			assert.NilError(t, execIn(c.Daemon, name))
		}
	}
	t.Logf("%d rounds, the slowest restart took %s", n, c.slowest)
	if c.slowest > 10*time.Second { // 3 s is promised; machines that run tests are busy
		t.Errorf("a restart took %s", c.slowest)
	}
}
