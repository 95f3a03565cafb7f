package graphtest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/jobengine/engine/graphdriver"
)

func lifeRows() []Row {
	return []Row{
		{Name: "CreateMakesLayer", Why: "a layer that was created is there, is listed, and knows its parent",
			check: func(e *env) {
				e.create("base", "")
				e.create("child", "base")
				e.createRW("rw", "child")
				for id, parent := range map[string]string{"base": "", "child": "base", "rw": "child"} {
					if !e.d.Exists(e.ctx, id) {
						e.failf("Exists(%s) is false after its creation", id)
					}
					have, err := e.d.Parent(e.ctx, id)
					e.must(err, "Parent(%s)", id)
					if have != parent {
						e.failf("Parent(%s) is %q, promised is %q", id, have, parent)
					}
				}
				if e.d.Exists(e.ctx, "other") {
					e.failf("Exists is true for a layer that nobody created")
				}
				if l, ok := e.d.(graphdriver.Lister); ok {
					ids, err := l.List(e.ctx)
					e.must(err, "List")
					slices.Sort(ids)
					if want := []string{"base", "child", "rw"}; !slices.Equal(ids, want) {
						e.failf("List is %v, promised is %v", ids, want)
					}
				}
			}},
		{Name: "CreateExisting", Why: "an id is never given twice: the second owner would destroy the first one's files",
			check: func(e *env) {
				e.createRW("a", "")
				e.change("a", func(dir string) { e.write(dir, "f", "1") })
				e.is(e.d.Create(e.ctx, "a", ""), graphdriver.ErrExists, "Create of an existing layer")
				e.is(e.d.CreateReadWrite(e.ctx, "a", "", nil), graphdriver.ErrExists, "CreateReadWrite of an existing layer")
				e.shows("a", "f = 1")
			}},
		{Name: "CreateAboveNothing", Why: "a layer without its parents can never be shown",
			check: func(e *env) {
				e.is(e.d.Create(e.ctx, "a", "absent"), graphdriver.ErrNotFound, "Create above an absent parent")
				e.is(e.d.CreateReadWrite(e.ctx, "b", "absent", nil), graphdriver.ErrNotFound, "CreateReadWrite above an absent parent")
				if e.d.Exists(e.ctx, "a") || e.d.Exists(e.ctx, "b") {
					e.failf("a refused Create leaves a layer")
				}
			}},
		{Name: "BadIDs", Why: "ids become file names: one that leads out of the home would let a record destroy the host",
			check: func(e *env) {
				e.write(e.dir, "canary", "alive")
				for _, id := range []string{"", ".", "..", "../canary", "a/b", "/a", "a\x00b", ".hidden", strings.Repeat("a", 129)} {
					if e.d.Create(e.ctx, id, "") == nil || e.d.CreateReadWrite(e.ctx, id, "", nil) == nil {
						e.failf("a layer can be named %q", id)
					}
					if e.d.Exists(e.ctx, id) {
						e.failf("Exists(%q) is true", id)
					}
					if _, err := e.d.Get(e.ctx, id); err == nil {
						e.failf("Get(%q) succeeds", id)
					}
					_ = e.d.Remove(e.ctx, id) // may refuse or see nothing to do
				}
				if _, err := os.Stat(filepath.Join(e.dir, "canary")); err != nil {
					e.failf("Remove reached out of the home: %v", err)
				}
				e.create(strings.Repeat("a", 128), "")
				e.create("Aa0-_", "")
			}},
		{Name: "UnknownOption", Why: "a misspelt option must not be taken for one that works",
			check: func(e *env) {
				err := e.d.CreateReadWrite(e.ctx, "a", "", map[string]string{"no-such-option": "1"})
				if err == nil || !strings.Contains(err.Error(), "no-such-option") {
					e.failf("CreateReadWrite with an unknown option: %v; promised is an error that names it", err)
				}
				if e.d.Exists(e.ctx, "a") {
					e.failf("a refused CreateReadWrite leaves a layer")
				}
			}},
		{Name: "AbsentLayer", Why: "callers tell a layer that is not there from one that fails",
			check: func(e *env) {
				_, err := e.d.Get(e.ctx, "absent")
				e.is(err, graphdriver.ErrNotFound, "Get")
				_, err = e.d.Parent(e.ctx, "absent")
				e.is(err, graphdriver.ErrNotFound, "Parent")
				_, err = e.d.Metadata(e.ctx, "absent")
				e.is(err, graphdriver.ErrNotFound, "Metadata")
				_, err = e.d.Diff(e.ctx, "absent")
				e.is(err, graphdriver.ErrNotFound, "Diff")
				_, err = e.d.Changes(e.ctx, "absent")
				e.is(err, graphdriver.ErrNotFound, "Changes")
				_, err = e.d.DiffSize(e.ctx, "absent")
				e.is(err, graphdriver.ErrNotFound, "DiffSize")
				_, err = e.d.ApplyDiff(e.ctx, "absent", tarOf())
				e.is(err, graphdriver.ErrNotFound, "ApplyDiff")
				e.must(e.d.Remove(e.ctx, "absent"), "Remove of an absent layer")
				if e.d.Exists(e.ctx, "absent") {
					e.failf("a failed call made a layer")
				}
			}},
		{Name: "Remove", Why: "a removed layer is gone with its files, and its id is free again",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"))
				e.createRW("a", "base")
				e.change("a", func(dir string) { e.write(dir, "mine", "1") })
				e.remove("a")
				if e.d.Exists(e.ctx, "a") {
					e.failf("Exists is true after Remove")
				}
				_, err := e.d.Get(e.ctx, "a")
				e.is(err, graphdriver.ErrNotFound, "Get after Remove")
				e.shows("base", "f = 1")
				e.createRW("a", "base")
				e.shows("a", "f = 1")
				e.remove("a")
				e.remove("a")
				e.remove("base")
			}},
		{Name: "RemoveInUse", Why: "the layer of a container that died badly can be removed all the same",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"))
				e.createRW("a", "base")
				e.get("a")
				e.remove("a")
				if e.d.Exists(e.ctx, "a") || len(mountsBelow(e.dir)) > 0 {
					e.failf("Remove leaves the layer or its mount: %v", mountsBelow(e.dir))
				}
			}},
		{Name: "GetIsCounted", Why: "one user's Put must not pull the tree away from another",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"))
				e.createRW("a", "base")
				dir := e.get("a")
				if again := e.get("a"); again != dir {
					e.failf("the second Get is %s, the first was %s", again, dir)
				}
				e.put("a")
				if _, err := os.Stat(filepath.Join(dir, "f")); err != nil {
					e.failf("after two Gets and one Put the tree is gone: %v", err)
				}
				e.put("a")
			}},
		{Name: "PutWithoutGet", Why: "after a crash the caller gives back what its former process had",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"))
				e.createRW("a", "base")
				e.put("a")
				e.change("a", func(dir string) { e.write(dir, "g", "2") })
				e.put("a")
				e.shows("a", "f = 1", "g = 2")
			}},
		{Name: "ManyAtOnce", Why: "fifty containers start at the same time",
			check: func(e *env) {
				e.apply("base", "", file("f", "1"))
				var wg sync.WaitGroup
				errs := make([]error, 20)
				for i := range errs {
					wg.Go(func() { errs[i] = oneLife(e, "c"+string(rune('a'+i))) })
				}
				wg.Wait()
				e.must(errors.Join(errs...), "lives of layers side by side")
			}},
	}
}

func oneLife(e *env, id string) error {
	if err := e.d.CreateReadWrite(e.ctx, id, "base", nil); err != nil {
		return err
	}
	dir, err := e.d.Get(e.ctx, id)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte(id), 0o600); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(dir, "f"))
	if err != nil || string(data) != id {
		return errors.Join(err, errors.New("layer "+id+" shows another one's file: "+string(data)))
	}
	if err := e.d.Put(e.ctx, id); err != nil {
		return err
	}
	return e.d.Remove(e.ctx, id)
}

func (e *env) write(dir, name, content string) {
	e.must(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644), "write %s", name)
}
