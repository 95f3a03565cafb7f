package images

import (
	"context"

	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/jobs"
)

// Check looks for images that are damaged and layers that no image has; with
// repair it removes the latter, and writes records anew that are lost on the disk
// but known.
func (i *Images) Check(ctx context.Context, repair bool) ([]jobs.Finding, error) {
	faults, err := i.store.Check(ctx)
	return findings(faults, repair), err
}

// CheckFull is Check, and reads the files of all layers.
func (i *Images) CheckFull(ctx context.Context, repair bool) ([]jobs.Finding, error) {
	found, err := i.Check(ctx, repair)
	if err != nil {
		return found, err
	}
	faults, err := i.store.Verify(ctx)
	told := map[string]bool{}
	for _, f := range found {
		told[f.Object] = true
	}
	for _, f := range faults {
		if !told[f.Object] {
			found = append(found, jobs.Finding{
				Kind: f.Kind, Object: f.Object, Problem: f.Problem,
				Action: "its files can not be mended: remove it, and its containers, and load or pull it again: engine rmi -f " + shortID(f.Object),
			})
		}
	}
	return found, err
}

func findings(faults []store.Fault, repair bool) []jobs.Finding {
	findings := make([]jobs.Finding, 0, len(faults))
	for _, fault := range faults {
		f := jobs.Finding{Kind: fault.Kind, Object: fault.Object, Problem: fault.Problem}
		action := "remove the layer"
		if fault.Kind == "image" {
			action = "write its record anew"
		}
		switch {
		case fault.Cure == nil:
			f.Action = "load or pull it again, or remove it: engine rmi -f " + shortID(fault.Object)
		case !repair:
			f.Action = "--repair would " + action
		default:
			if err := fault.Cure(); err != nil {
				f.Action = "tried to " + action + ": " + err.Error()
			} else {
				f.Action, f.Repaired = "done: "+action, true
			}
		}
		findings = append(findings, f)
	}
	return findings
}
