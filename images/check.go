package images

import (
	"context"

	"github.com/jobengine/engine/jobs"
)

// Check looks for images that are damaged and layers that no image has; with
// repair it removes the latter, and writes records anew that are lost on the disk
// but known.
func (i *Images) Check(ctx context.Context, repair bool) ([]jobs.Finding, error) {
	faults, err := i.store.Check(ctx)
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
	return findings, err
}
