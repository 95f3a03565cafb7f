package containers

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// List and Check make folders a driver whose layers can be looked through.
func (f *folders) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(f.home)
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids, err
}

func (f *folders) Check(ctx context.Context, id string) error {
	if !f.Exists(ctx, id) {
		return errs.DataLoss("layer %s is damaged", id)
	}
	return nil
}

func TestWhatAStartThatWasCutOffLeftIsTakenAway(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "xx")
	_, err := w.graph.Get(ctx, id)
	assert.NilError(t, err)
	assert.NilError(t, os.MkdirAll(w.bundle(id), 0o700))
	unowned := newID()
	assert.NilError(t, w.graph.CreateReadWrite(ctx, unowned, "init", nil))
	w.reopen(t)
	assert.Equal(t, w.graph.inUse(), 0)
	_, err = os.Stat(filepath.Dir(w.bundle(id)))
	assert.Assert(t, os.IsNotExist(err))
	assert.Equal(t, len(w.graph.layers(t)), 1)
	w.mustStart(t, "xx")
}

func TestAContainerWithoutItsLayerIsShownAsDamaged(t *testing.T) {
	w := newWorld(t)
	id := w.mustCreate(t, "xx")
	w.mustCreate(t, "good")
	assert.NilError(t, os.Rename(filepath.Join(w.graph.home, id), filepath.Join(w.root, "away")))
	w.reopen(t)
	assert.Equal(t, w.snapshot(t, "xx").State.Status(), container.StateDead)
	_, err := jobs.Start.Run(ctx, w.eng, jobs.StartIn{Container: "xx"})
	assert.ErrorContains(t, err, "container xx is damaged and can only be removed")
	report, err := w.Check(ctx, false)
	assert.NilError(t, err)
	assert.Equal(t, len(report), 1)
	assert.Equal(t, report[0].Object, id)
	w.mustStart(t, "good")
	assert.NilError(t, os.Rename(filepath.Join(w.root, "away"), filepath.Join(w.graph.home, id)))
	w.reopen(t)
	w.mustStart(t, "xx")
}

func TestCheckFindsAndRepairsWhatNobodyOwns(t *testing.T) {
	w := newWorld(t)
	w.mustCreate(t, "xx")
	report, err := w.Check(ctx, false)
	assert.NilError(t, err)
	assert.Equal(t, len(report), 0)
	unowned, half := newID(), newID()
	assert.NilError(t, w.graph.CreateReadWrite(ctx, unowned, "init", nil))
	assert.NilError(t, os.MkdirAll(w.path(half), 0o700))
	report, err = w.Check(ctx, false)
	assert.NilError(t, err)
	assert.Equal(t, len(report), 2)
	assert.Equal(t, len(w.graph.layers(t)), 2)
	report, err = w.Check(ctx, true)
	assert.NilError(t, err)
	assert.Equal(t, len(report), 2)
	for _, f := range report {
		assert.Assert(t, f.Repaired, "%+v", f)
	}
	report, err = w.Check(ctx, false)
	assert.NilError(t, err)
	assert.Equal(t, len(report), 0)
	assert.Equal(t, len(w.graph.layers(t)), 1)
	w.mustStart(t, "xx")
}
