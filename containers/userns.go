package containers

import (
	"fmt"

	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/idmap"
)

// joinUser puts a container that shares another one's namespaces into that one's
// user namespace, which owns them: from any other one it could not enter them.
func (r *run) joinUser() error {
	if r.in.IDs.IsZero() {
		return nil
	}
	for _, d := range r.donors {
		ids, err := idmap.OfProcess(d.s.State.Pid)
		if err != nil {
			return d.gone(d.ct.id)
		}
		if ids.String() != r.in.IDs.String() {
			return errs.Conflict("cannot share namespaces with container %s: it has other user ids than this one would have; both or neither need --userns=host", d.ct.id)
		}
		r.in.Join.User = d.namespace("user")
	}
	return nil
}

// checkUser tells whether the container's user namespace has its user.
func checkUser(ids idmap.Map, u spec.User) error {
	if ids.HasUID(u.Spec.UID) && ids.HasGID(u.Spec.GID) {
		return nil
	}
	return fmt.Errorf("failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "+
		"unable to setup user: cannot set uid to unmapped user in user namespace: %d:%d is not in %s: unknown", u.Spec.UID, u.Spec.GID, ids)
}
