package networks

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
	"github.com/jobengine/engine/networkdriver"
)

func (n *Networks) remove(ctx context.Context, _ *engine.Job, in jobs.NetworkRemoveIn) (jobs.NetworkRemoveOut, error) {
	nw, err := n.find(in.Network)
	if err == nil {
		err = n.removeNetwork(context.WithoutCancel(ctx), nw)
	}
	return jobs.NetworkRemoveOut{}, err
}

func (n *Networks) removeNetwork(ctx context.Context, nw *Network) error {
	driver := n.cfg.Drivers[nw.Driver]
	if nw.ConfigOnly {
		driver = nil // it is a record, and nothing else
	}
	if !nw.userDefined() || driver != nil && networkdriver.CapabilitiesOf(driver).Predefined {
		return errs.Forbidden("%s is a pre-defined network and cannot be removed", nw.Name)
	}
	n.mu.Lock()
	switch {
	case nw.removing || n.byID[nw.ID] != nw:
		n.mu.Unlock()
		return errs.NotFound("network %s not found", nw.Name)
	case n.dependsLocked(nw):
		n.mu.Unlock()
		return errs.Forbidden("error while removing network: configuration network %q is in use", nw.Name)
	case len(nw.endpoints) > 0:
		var users []string
		for _, ep := range nw.endpoints {
			users = append(users, fmt.Sprintf("name:%q id:%q", ep.box.Name, ep.ID[:12]))
		}
		n.mu.Unlock()
		return errs.Forbidden("error while removing network: network %s has active endpoints (%s)", nw.Name, strings.Join(users, ", "))
	}
	nw.removing = true
	n.mu.Unlock()
	var err error
	if driver != nil { // else it was a third party's that is not here any more
		if err = driver.DeleteNetwork(ctx, nw.ID); err != nil {
			n.bringBack(ctx, nw, driver) // it may have lost a part
		}
	}
	if err == nil {
		if err = durable.Remove(n.cfg.FS, n.recordPath(nw.ID)); err != nil {
			n.bringBack(ctx, nw, driver)
		}
	}
	n.mu.Lock()
	if nw.removing = false; err == nil {
		delete(n.byID, nw.ID)
	}
	n.mu.Unlock()
	if err != nil {
		return fmt.Errorf("error while removing network %s: %w", nw.Name, err)
	}
	n.forgetGiven(nw.ID)
	n.event(events.ActionDestroy, nw, nil)
	return nil
}

// bringBack makes a network whole that could not be removed: it goes on being listed.
func (n *Networks) bringBack(ctx context.Context, nw *Network, driver networkdriver.Driver) {
	err := n.save(&nw.record) // only the last step of its removal may have failed
	if driver != nil {
		err = errors.Join(err, driver.CreateNetwork(ctx, nw.forDriver()))
	}
	if err != nil {
		n.cfg.Log.Errorf("network %s: it could not be removed, and it is not whole any more; remove it again: %v", nw.Name, err)
	}
}

func (n *Networks) event(action events.Action, nw *Network, more map[string]string) {
	attributes := map[string]string{"name": nw.Name, "type": nw.Driver}
	for k, v := range more {
		attributes[k] = v
	}
	n.cfg.Events.Log(events.NetworkEventType, action, nw.ID, attributes)
}
