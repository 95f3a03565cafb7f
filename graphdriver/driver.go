package graphdriver

import (
	"context"
	"errors"
	"io"

	"github.com/containerd/errdefs"

	"github.com/jobengine/engine/internal/archive"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/rmtree"
)

// A ProtoDriver stores layers: trees of files, each with at most one parent,
// that can be seen as one merged tree.
//
// Life cycle of a layer:
//
//	Create or CreateReadWrite → Get → (files are changed in dir) → Put → Remove
//
// A layer that is the parent of others is not written any more, whichever of the
// two made it. Ids are chosen by the caller: letters, digits, '-' and '_', 1 to
// 128 of them (ValidID). Calls for different ids may run at the same time; the
// caller serialises those for one id, and removes children before parents.
// A process may be killed in any call: a driver that is opened again on the same
// Home shows each layer either as it was or not at all, except that a layer
// whose ApplyDiff was cut short is there, half full, for its owner to remove.
// NaiveDiff makes a full Driver of any ProtoDriver.
type ProtoDriver interface {
	// Create makes an empty layer above parent ("" for none) that will be
	// filled once by ApplyDiff. ErrExists, ErrNotFound (parent).
	Create(ctx context.Context, id, parent string) error

	// CreateReadWrite makes the writable layer of a container.
	// Unknown options are an error that names them.
	CreateReadWrite(ctx context.Context, id, parent string, opts map[string]string) error

	// Remove deletes a layer with its files. Removing an absent layer is not an
	// error. A layer that is in use by Get is unmounted first.
	Remove(ctx context.Context, id string) error

	// Get makes the merged tree of a layer visible and returns its absolute
	// path. Calls are counted: each needs one Put. What a former process left
	// mounted is taken over, so that its users see no change. ErrNotFound.
	Get(ctx context.Context, id string) (dir string, err error)

	// Put gives back one Get; the last one unmounts. A Put without a Get
	// unmounts what a former process left mounted.
	Put(ctx context.Context, id string) error

	// Exists tells whether a layer is there, whole or not.
	Exists(ctx context.Context, id string) bool

	// Parent gives the id of a layer's parent, "" for none. ErrNotFound.
	Parent(ctx context.Context, id string) (string, error)

	// Status gives name-value pairs for `info`.
	Status() [][2]string

	// Metadata gives the driver's own facts on a layer for `inspect`, such as
	// UpperDir. ErrNotFound.
	Metadata(ctx context.Context, id string) (map[string]string, error)

	// Cleanup ends what the driver does in the background and gives back what it
	// holds for itself; called once, at the end. Layers in use by Get stay as they
	// are: containers may outlive the process, and the next one takes them over.
	Cleanup() error
}

// A Driver stores layers and also turns them into tar streams and back.
type Driver interface {
	ProtoDriver
	Differ
}

// A Differ turns layers into tar streams and back. Whiteouts in the streams are
// AUFS' (".wh.NAME", ".wh..wh..opq"), as image-spec demands. A layer may be in
// use by Get meanwhile; what changes during a call may be seen or not.
type Differ interface {
	// Diff gives the changes of a layer against its parent as an uncompressed
	// tar: applied to the same parent it makes the same tree. Parents come before
	// their children; sockets are left out. An error in the middle comes out of
	// Read. The caller closes the reader, read to its end or not.
	Diff(ctx context.Context, id string) (io.ReadCloser, error)

	// Changes lists what differs from the parent, sorted by path: of folders,
	// those that changed themselves and those that lead to a change. Diff may hold
	// more: files that were touched and are as they were.
	Changes(ctx context.Context, id string) ([]Change, error)

	// ApplyDiff fills an empty layer from an uncompressed tar, reads diff to its
	// end and gives the number of bytes in it: of files, hard links counted once,
	// and of the targets of symbolic links. After an error the caller removes the layer. Entries that would leave the layer's root are an
	// error (ErrBreakout), as is a tar that ends too early; attributes that
	// would steer the driver itself (trusted.*) are dropped.
	ApplyDiff(ctx context.Context, id string, diff io.Reader) (size int64, err error)

	// DiffSize is the number of bytes, counted as by ApplyDiff, of what the layer
	// added or changed, whole files.
	DiffSize(ctx context.Context, id string) (int64, error)
}

// Change is one difference between a layer and its parent.
type Change struct {
	Path string // absolute within the layer
	Kind ChangeKind
}

// ChangeKind is numbered as in the API: 0 modified, 1 added, 2 deleted.
type ChangeKind int

// The kinds of change.
const (
	Modified ChangeKind = iota
	Added
	Deleted
)

// Capabilities tells what a caller may do to go faster.
type Capabilities struct {
	// IndependentLayers: the files of a layer do not depend on its parents,
	// so layers of one image may be applied in any order and in parallel.
	IndependentLayers bool
	// ReadOnlyRoot: Get gives a tree that is not to be written for layers made by Create.
	ReadOnlyRoot bool
}

// Capable is implemented by drivers that have Capabilities to declare.
type Capable interface {
	Capabilities() Capabilities
}

// Lister is implemented by drivers that can name all their layers, for the
// search for what nobody owns.
type Lister interface {
	List(ctx context.Context) ([]string, error)
}

// Syncer is implemented by drivers that can make a layer durable: after Sync
// a power cut does not take back what was written to it. See Sync.
type Syncer interface {
	Sync(ctx context.Context, id string) error
}

// OwnFiles is implemented by drivers that keep the files of a layer in a folder
// of their own. It is only read, and stays as long as the layer.
type OwnFiles interface {
	OwnFiles(ctx context.Context, id string) (dir string, err error)
}

// Options is what every driver is opened with.
type Options struct {
	// Home is the driver's own folder in the data root. It is made if missing.
	Home string
	// Options are the user's --storage-opt, "driver.key" → value.
	Options map[string]string
	// FS is what the driver makes, renames and removes layers and their records with; nil is
	// the real one. Tests let the N-th call fail. Files that a diff brings do not go through it.
	FS durable.FS
}

// FileSystem is o.FS, or the real one, which removes also what is deeply nested or
// may not be written to.
func (o Options) FileSystem() durable.FS {
	if o.FS != nil {
		return o.FS
	}
	return realFS{durable.OS}
}

type realFS struct{ durable.FS }

func (realFS) RemoveAll(path string) error { return rmtree.Path(path) }

// New opens a driver. ErrNotSupported when the host or the file system of Home
// cannot have it: then another may be tried.
type New func(Options) (Driver, error)

// The errors that callers tell apart with errors.Is. Each has a class of
// errdefs too.
var (
	ErrNotSupported = errs.As(errdefs.ErrNotImplemented, errors.New("graph driver not supported here"))
	ErrExists       = errs.As(errdefs.ErrAlreadyExists, errors.New("layer exists"))
	ErrNotFound     = errs.As(errdefs.ErrNotFound, errors.New("no such layer"))
	ErrBreakout     = archive.ErrBreakout
	ErrTooLarge     = archive.ErrTooLarge
)
