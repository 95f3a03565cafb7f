package graphdriver

import (
	"context"

	"github.com/containerd/errdefs"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/idmap"
)

// IDMap says which ids of the host a container's are.
type IDMap = idmap.Map

// IDRange is a part of an IDMap.
type IDRange = idmap.Range

// A Remapper is implemented by drivers that can show a layer to a user namespace:
// with other owners, and without a change on the disk. There, and in everything
// that Get, Diff and Changes give, the ids stay those of the image, so layers are
// shared by containers with and without a user namespace.
type Remapper interface {
	// CanRemap tries on this host and file system. ErrNoRemap with the reason.
	CanRemap(m IDMap) error

	// GetRemapped shows a layer made by CreateReadWrite at dir, an empty folder
	// of the caller's. What belongs to id 0 of the layer belongs to the host's
	// m.Root in dir, and what that one makes in dir is 0's in the layer; who has no id in m
	// can make nothing. If the layer is shown there already, by a former process
	// too, that is taken over and m is not looked at. Not counted. While it lasts,
	// what Get gives is only for reading.
	GetRemapped(ctx context.Context, id, dir string, m IDMap) error

	// PutRemapped takes the layer away from dir. If it is not there, that is
	// not an error, nor if there is no such layer.
	PutRemapped(ctx context.Context, id, dir string) error
}

// ErrNoRemap says that a driver can not show its layers to user namespaces here.
var ErrNoRemap = errs.As(errdefs.ErrNotImplemented, errNoRemap{})

type errNoRemap struct{}

func (errNoRemap) Error() string { return "layers can not be shown with other ids here" }

// RemapperOf gives d's ability to serve user namespaces with this map, tried out
// on this host. ErrNoRemap.
func RemapperOf(d ProtoDriver, m IDMap) (Remapper, error) {
	r, ok := d.(Remapper)
	if !ok {
		return nil, errs.As(ErrNoRemap, errs.NotImplemented("this graph driver does not know how"))
	}
	return r, r.CanRemap(m)
}
