//go:build system

package test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jobengine/engine/test/harness"
)

// state is what a daemon shows: "c NAME" → how the container is, "i NAME" → the
// id of the image. It is compared before and after a fault.
type state map[string]string

func (s state) String() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "\n\t%s: %s", key, s[key])
	}
	return b.String()
}

// with is the state after a change; "" takes the key away.
func (s state) with(changes ...string) state {
	next := maps.Clone(s)
	for i := 0; i+1 < len(changes); i += 2 {
		if next[changes[i]] = changes[i+1]; changes[i+1] == "" {
			delete(next, changes[i])
		}
	}
	return next
}

// anyID stands for the id of an image that nobody can tell before.
const anyID = "?"

// difference gives the first key in which two states differ, "" if none.
func (s state) difference(other state) string {
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if have := other[key]; have != s[key] && !(s[key] == anyID && have != "") {
			return fmt.Sprintf("%s is %q, not %q", key, have, s[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(other)) {
		if _, ok := s[key]; !ok {
			return fmt.Sprintf("%s is %q and should not be there", key, other[key])
		}
	}
	return ""
}

// observe asks a daemon what there is.
func observe(d *harness.Daemon) (state, error) {
	s := state{}
	var containers []struct {
		ID    string
		Names []string
	}
	if err := d.JSON("GET", "/containers/json?all=1", nil, &containers); err != nil {
		return nil, err
	}
	for _, c := range containers {
		var info struct {
			State struct {
				Status, Error string
				ExitCode      int
			}
		}
		if err := d.JSON("GET", "/containers/"+c.ID+"/json", nil, &info); err != nil {
			return nil, err
		}
		how := info.State.Status
		switch how {
		case "exited":
			how = fmt.Sprintf("exited %d", info.State.ExitCode)
			if info.State.ExitCode == 255 && info.State.Error == "" {
				how += " without a reason"
			}
		case "dead":
			how = "dead: " + info.State.Error
		}
		s["c "+strings.TrimPrefix(c.Names[0], "/")] = how
	}
	var images []struct {
		ID       string `json:"Id"`
		RepoTags []string
	}
	if err := d.JSON("GET", "/images/json?all=1", nil, &images); err != nil {
		return nil, err
	}
	for _, img := range images {
		for _, tag := range img.RepoTags {
			if tag != "<none>:<none>" {
				s["i "+tag] = img.ID
			}
		}
		if len(img.RepoTags) == 0 || img.RepoTags[0] == "<none>:<none>" {
			s["i <none> "+img.ID[7:19]] = img.ID
		}
	}
	return s, nil
}

// content is the files that a layer of a test image has, by path.
type content map[string]string

// bulk is a file that differs from seed to seed and is not quickly written.
func bulk(seed string, size int) string {
	sum := sha256.Sum256([]byte(seed))
	return string(bytes.Repeat([]byte(fmt.Sprintf("%x\n", sum)), size/65+1)[:size])
}

func (c content) tar() []byte {
	var entries []harness.Entry
	for _, name := range slices.Sorted(maps.Keys(c)) {
		entries = append(entries, harness.File(name, c[name]))
	}
	return harness.Tar(entries...)
}

// hollow compares the files of an image on disk with what was loaded, and gives
// what is wrong. The topmost layers come first.
func hollow(d *harness.Daemon, image string, layers ...content) error {
	var info struct {
		GraphDriver struct{ Data map[string]string }
	}
	if err := d.JSON("GET", "/images/"+image+"/json", nil, &info); err != nil {
		return err
	}
	dirs := []string{info.GraphDriver.Data["UpperDir"]}
	if lower := info.GraphDriver.Data["LowerDir"]; lower != "" {
		dirs = append(dirs, strings.Split(lower, ":")...)
	}
	if len(dirs) != len(layers) {
		return fmt.Errorf("image %s has the layers %q, %d are wanted", image, dirs, len(layers))
	}
	for i, want := range layers {
		for name, text := range want {
			have, err := os.ReadFile(filepath.Join(dirs[i], name))
			if err != nil {
				return fmt.Errorf("image %s: %w", image, err)
			}
			if string(have) != text {
				return fmt.Errorf("image %s: %s/%s has %d bytes that were never in it", image, dirs[i], name, len(have))
			}
		}
	}
	return nil
}

// unowned lists what lies in the roots, mounts, cgroups and processes of a
// daemon and belongs to nothing that it lists.
func unowned(d *harness.Daemon) ([]string, error) {
	var found []string
	var containers []struct{ ID, State string }
	if err := d.JSON("GET", "/containers/json?all=1", nil, &containers); err != nil {
		return nil, err
	}
	var images []struct {
		ID string `json:"Id"`
	}
	if err := d.JSON("GET", "/images/json?all=1", nil, &images); err != nil {
		return nil, err
	}
	known, live := map[string]bool{}, map[string]bool{}
	for _, c := range containers {
		known[c.ID] = true
		live[c.ID] = c.State == "running" || c.State == "paused"
	}
	look := func(dir string, owned func(name string) bool) {
		entries, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			found = append(found, err.Error())
		}
		for _, e := range entries {
			if !owned(e.Name()) {
				found = append(found, filepath.Join(dir, e.Name()))
			}
		}
	}
	look(filepath.Join(d.DataRoot, "containers"), func(name string) bool { return known[name] })
	look(filepath.Join(d.ExecRoot, "containers"), func(name string) bool { return live[name] })
	look(filepath.Join(d.ExecRoot, "native"), func(name string) bool { return live[name] || name == ".half" })
	look(filepath.Join(d.ExecRoot, "native", ".half"), func(string) bool { return false })
	look(filepath.Join(d.DataRoot, "tmp"), func(string) bool { return false })

	// Layers are owned by the records of images, those by what is listed.
	driver := "overlay2"
	if _, err := os.Stat(filepath.Join(d.DataRoot, "images", driver)); err != nil {
		driver = "vfs"
	}
	store := filepath.Join(d.DataRoot, "images", driver)
	listed := map[string]bool{}
	for _, img := range images {
		listed[strings.TrimPrefix(img.ID, "sha256:")] = true
	}
	look(filepath.Join(store, "configs"), func(name string) bool { return listed[name] })
	look(filepath.Join(store, "tmp"), func(string) bool { return false })
	chains, graph := map[string]bool{}, map[string]bool{}
	for id := range listed {
		var rec struct{ Layers []string }
		if err := readRecord(filepath.Join(store, "configs", id, "image.json"), &rec); err != nil {
			found = append(found, err.Error())
		}
		for _, chain := range rec.Layers {
			chains[strings.TrimPrefix(chain, "sha256:")] = true
		}
	}
	look(filepath.Join(store, "layers"), func(name string) bool {
		var rec struct{ GraphID string }
		if err := readRecord(filepath.Join(store, "layers", name, "layer.json"), &rec); err != nil {
			found = append(found, err.Error())
		}
		graph[rec.GraphID] = true
		return chains[name]
	})
	look(filepath.Join(store, "inits"), func(name string) bool {
		var rec struct{ GraphID string }
		if err := readRecord(filepath.Join(store, "inits", name), &rec); err != nil {
			found = append(found, err.Error())
		}
		graph[rec.GraphID] = true
		return chains[strings.TrimSuffix(name, ".json")]
	})
	look(filepath.Join(d.DataRoot, driver), func(name string) bool {
		// A container that is dead has the rest of its layer, until it is removed again.
		return known[name] || graph[name] || known[strings.TrimPrefix(name, ".trash-")]
	})

	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		rest, ours := strings.CutPrefix(fields[4], d.DataRoot+"/overlay2/")
		if id, _, _ := strings.Cut(rest, "/"); ours && !live[id] {
			found = append(found, "mount "+fields[4])
		}
	}
	tops, _ := filepath.Glob("/sys/fs/cgroup/*" + d.CgroupParent)
	if _, err := os.Stat("/sys/fs/cgroup" + d.CgroupParent); err == nil {
		tops = append(tops, "/sys/fs/cgroup"+d.CgroupParent)
	}
	for _, top := range tops {
		entries, _ := os.ReadDir(top)
		for _, e := range entries {
			if e.IsDir() && !live[e.Name()] {
				procs, _ := os.ReadFile(filepath.Join(top, e.Name(), "cgroup.procs"))
				found = append(found, fmt.Sprintf("cgroup %s with the processes %q", filepath.Join(top, e.Name()), procs))
			}
		}
	}
	return found, nil
}

func readRecord(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// ownedAtLast waits until nothing is unowned: removal of large trees goes on in
// the background for a moment.
func ownedAtLast(d *harness.Daemon) error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		found, err := unowned(d)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("nobody owns:\n\t%s", strings.Join(found, "\n\t"))
		}
	}
}

// filesBelow counts what is in a tree.
func filesBelow(dir string) (n int) {
	filepath.WalkDir(dir, func(string, fs.DirEntry, error) error { n++; return nil })
	return n
}

func query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return "?" + q.Encode()
}
