package containers

import (
	"sort"
	"strings"
	"sync"

	"github.com/jobengine/engine/internal/errs"
)

// index finds containers by id and name. Names are reserved before a container
// is there, and a container that is being made is known by its reservation only.
type index struct {
	mu     sync.RWMutex
	byID   map[string]*Container
	ids    []string          // sorted, for prefixes
	names  map[string]string // name → id
	making map[string]making // id → what is being made
}

// making is a container that create has begun.
type making struct{ name, imageID string }

// reserve takes id and name for a container that is being made.
func (x *index) reserve(id, name, imageID string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.takeName(id, name); err != nil {
		return err
	}
	if x.making == nil {
		x.making = make(map[string]making)
	}
	x.making[id] = making{name, imageID}
	return nil
}

// takeName gives a name to an id; x.mu is held.
func (x *index) takeName(id, name string) error {
	if owner, ok := x.names[name]; ok && owner != id {
		return errs.Conflict("Conflict. The container name %q is already in use by container %q. You have to remove (or rename) that container to be able to reuse that name.", "/"+name, owner)
	}
	if x.names == nil {
		x.names = make(map[string]string)
	}
	x.names[name] = id
	return nil
}

// release gives a reservation back.
func (x *index) release(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if m, ok := x.making[id]; ok {
		delete(x.names, m.name)
		delete(x.making, id)
	}
}

// add makes a container known.
func (x *index) add(ct *Container) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.making, ct.id)
	if x.byID == nil {
		x.byID = make(map[string]*Container)
	}
	if x.names == nil {
		x.names = make(map[string]string)
	}
	x.byID[ct.id] = ct
	x.names[ct.Snapshot().Name] = ct.id
	i := sort.SearchStrings(x.ids, ct.id)
	x.ids = append(x.ids, "")
	copy(x.ids[i+1:], x.ids[i:])
	x.ids[i] = ct.id
}

// remove forgets a container and frees its name.
func (x *index) remove(ct *Container) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byID[ct.id] != ct {
		return
	}
	delete(x.byID, ct.id)
	if name := ct.Snapshot().Name; x.names[name] == ct.id {
		delete(x.names, name)
	}
	if i := sort.SearchStrings(x.ids, ct.id); i < len(x.ids) && x.ids[i] == ct.id {
		x.ids = append(x.ids[:i], x.ids[i+1:]...)
	}
}

// rename takes a further name for a container; dropName gives the old one up.
func (x *index) rename(ct *Container, name string) (undo func(), err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	old := ct.Snapshot().Name
	if err := x.takeName(ct.id, name); err != nil {
		return nil, err
	}
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if name != old && x.names[name] == ct.id {
			delete(x.names, name)
		}
	}, nil
}

// dropName frees a name that a container had.
func (x *index) dropName(ct *Container, name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.names[name] == ct.id {
		delete(x.names, name)
	}
}

// get finds a container by its full id.
func (x *index) get(id string) (*Container, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	ct, ok := x.byID[id]
	return ct, ok
}

// all is every container, in no order.
func (x *index) all() []*Container {
	x.mu.RLock()
	defer x.mu.RUnlock()
	list := make([]*Container, 0, len(x.byID))
	for _, ct := range x.byID {
		list = append(list, ct)
	}
	return list
}

// find resolves what a user typed: full id, then name, then unique prefix of an id.
func (x *index) find(ref string) (*Container, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if ct, ok := x.byID[ref]; ok {
		return ct, nil
	}
	if id, ok := x.names[strings.TrimPrefix(ref, "/")]; ok {
		if ct, ok := x.byID[id]; ok {
			return ct, nil
		}
	}
	i := sort.SearchStrings(x.ids, ref)
	if ref == "" || i == len(x.ids) || !strings.HasPrefix(x.ids[i], ref) {
		return nil, errs.NotFound("No such container: %s", ref)
	}
	if i+1 < len(x.ids) && strings.HasPrefix(x.ids[i+1], ref) {
		return nil, errs.Invalid("Multiple IDs found with provided prefix: %s", ref)
	}
	return x.byID[x.ids[i]], nil
}
