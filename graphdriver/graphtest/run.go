package graphtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/graphdriver"
)

// Open opens the driver under test on a home folder. It is called again for the
// same home to stand for a new process.
type Open func(home string) (graphdriver.Driver, error)

// Row is one promise of the contract.
type Row struct {
	Name string
	// Why says what goes wrong for users of a driver that does not keep it.
	Why string
	// NeedsRoot rows use owners, devices and attributes that others may not set.
	NeedsRoot bool

	check func(*env)
}

// Run checks every row. A driver that answers ErrNotSupported skips them all.
func Run(t *testing.T, open Open) {
	for _, row := range Rows() {
		t.Run(row.Name, func(t *testing.T) {
			if row.NeedsRoot && os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			err := row.Check(t.TempDir(), open)
			if errors.Is(err, graphdriver.ErrNotSupported) {
				t.Skip(err)
			}
			if err != nil {
				t.Errorf("%v\nThe promise: %s", err, row.Why)
			}
		})
	}
}

// Check tries the row on a driver that is opened below dir, an empty folder, and
// gives the first thing that is not as promised.
func (r Row) Check(dir string, open Open) (err error) {
	e := &env{ctx: context.Background(), home: filepath.Join(dir, "home"), dir: dir, open: open}
	defer func() {
		if e.d != nil {
			if cerr := e.d.Cleanup(); err == nil && cerr != nil {
				err = fmt.Errorf("Cleanup: %w", cerr)
			}
		}
		left := mountsBelow(dir)
		for _, path := range left {
			_ = unix.Unmount(path, unix.MNT_DETACH) // the row has failed, and dir is to be removed
		}
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("at the end there are still mounts: %v", left)
		}
	}()
	defer func() {
		if f, ok := recover().(failure); ok {
			err = f.error
		}
	}()
	if err := os.Mkdir(e.home, 0o700); err != nil {
		return err
	}
	e.reopen()
	r.check(e)
	return nil
}

// failure is what ends a row early.
type failure struct{ error }

// env is what a row works with. Its methods end the row when something fails.
type env struct {
	ctx  context.Context
	dir  string // for the row's own files, outside of home
	home string
	open Open
	d    graphdriver.Driver
}

func (e *env) failf(format string, args ...any) {
	panic(failure{fmt.Errorf(format, args...)})
}

func (e *env) must(err error, doing string, args ...any) {
	if err != nil {
		panic(failure{fmt.Errorf(doing+": %w", append(args, err)...)})
	}
}

func (e *env) is(err, want error, doing string) {
	if !errors.Is(err, want) {
		e.failf("%s: error is %v, promised is one that is %q", doing, err, want)
	}
}

// reopen stands for a new process: the old driver is dropped as it is.
func (e *env) reopen() {
	d, err := e.open(e.home)
	e.must(err, "open the driver")
	e.d = d
}

func (e *env) create(id, parent string) {
	e.must(e.d.Create(e.ctx, id, parent), "Create(%s, %q)", id, parent)
}

func (e *env) createRW(id, parent string) {
	e.must(e.d.CreateReadWrite(e.ctx, id, parent, nil), "CreateReadWrite(%s, %q)", id, parent)
}

func (e *env) get(id string) string {
	dir, err := e.d.Get(e.ctx, id)
	e.must(err, "Get(%s)", id)
	if !filepath.IsAbs(dir) {
		e.failf("Get(%s) is %q, which is not absolute", id, dir)
	}
	return dir
}

func (e *env) put(id string) { e.must(e.d.Put(e.ctx, id), "Put(%s)", id) }

func (e *env) remove(id string) { e.must(e.d.Remove(e.ctx, id), "Remove(%s)", id) }

// change gets a layer, lets f change its tree, and puts it back.
func (e *env) change(id string, f func(dir string)) {
	dir := e.get(id)
	f(dir)
	e.put(id)
}

// apply makes a read-only layer of entries.
func (e *env) apply(id, parent string, entries ...entry) int64 {
	e.create(id, parent)
	n, err := e.d.ApplyDiff(e.ctx, id, tarOf(entries...))
	e.must(err, "ApplyDiff(%s)", id)
	return n
}

// shows compares the tree of a layer with what is promised.
func (e *env) shows(id string, want ...string) {
	dir := e.get(id)
	have := listing(dir, false)
	e.put(id)
	if strings.Join(have, "\n") != strings.Join(want, "\n") {
		e.failf("layer %s shows\n\t%s\npromised is\n\t%s", id, strings.Join(have, "\n\t"), strings.Join(want, "\n\t"))
	}
}
