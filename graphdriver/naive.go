package graphdriver

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/archive"
	"github.com/jobengine/engine/internal/failpoint"
)

// NaiveDiff makes a full Driver of a ProtoDriver. A driver that also has optional
// interfaces embeds NewNaive's result beside itself instead, so that they stay visible.
func NaiveDiff(p ProtoDriver) Driver {
	return struct {
		ProtoDriver
		Differ
	}{p, NewNaive(p)}
}

// NewNaive gives the diffs of p's layers by comparing whole trees, a layer's and
// its parent's. It compares type, mode, owner, size, time, link target and
// attributes of files, not their content; of folders, mode, owner and attributes.
func NewNaive(p ProtoDriver) Differ { return naive{p} }

type naive struct{ p ProtoDriver }

// pair is a layer's tree and its parent's, both visible.
type pair struct {
	dir, parent string // parent is "" if there is none
	put         func() error
}

func (n naive) open(ctx context.Context, id string) (pair, error) {
	parent, err := n.p.Parent(ctx, id)
	if err != nil {
		return pair{}, err
	}
	dir, err := n.p.Get(ctx, id)
	if err != nil {
		return pair{}, err
	}
	// Put runs also when ctx ended meanwhile.
	after := context.WithoutCancel(ctx)
	if parent == "" {
		return pair{dir, "", func() error { return n.p.Put(after, id) }}, nil
	}
	pdir, err := n.p.Get(ctx, parent)
	if err != nil {
		return pair{}, errors.Join(err, n.p.Put(after, id))
	}
	return pair{dir, pdir, func() error {
		return errors.Join(n.p.Put(after, id), n.p.Put(after, parent))
	}}, nil
}

func (n naive) Changes(ctx context.Context, id string) ([]Change, error) {
	trees, err := n.open(ctx, id)
	if err != nil {
		return nil, err
	}
	list := changeList{}
	err = compareTrees(ctx, trees, func(c Change, _ *unix.Stat_t) { list.add(c) })
	if e := trees.put(); err == nil {
		err = e
	}
	return list.sorted(), err
}

func (n naive) Diff(ctx context.Context, id string) (io.ReadCloser, error) {
	trees, err := n.open(ctx, id)
	if err != nil {
		return nil, err
	}
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := packChanges(ctx, pw, trees)
		if e := trees.put(); err == nil {
			err = e
		}
		pw.CloseWithError(err)
	}()
	return diffReader{pr, done}, nil
}

// diffReader waits on Close until the layer was given back.
type diffReader struct {
	*io.PipeReader
	done chan struct{}
}

func (r diffReader) Close() error {
	err := r.PipeReader.Close()
	<-r.done
	return err
}

func packChanges(ctx context.Context, w io.Writer, trees pair) error {
	list := changeList{}
	rootChanged := false
	err := compareTrees(ctx, trees, func(c Change, _ *unix.Stat_t) {
		if c.Path == "/" {
			rootChanged = true
			return
		}
		list.add(c)
	})
	if err != nil {
		return err
	}
	p := archive.NewPacker(w, nil)
	root, err := unix.Open(trees.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: trees.dir, Err: err}
	}
	defer unix.Close(root)
	if rootChanged {
		if err := p.Add("./", root, "."); err != nil {
			return err
		}
	}
	for _, c := range list.sorted() {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := c.Path[1:]
		if c.Kind == Deleted {
			err = p.Whiteout(name)
		} else {
			err = addAt(p, root, name)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return p.Close()
}

// addAt packs the entry name; a running container cannot lead it out of the root
// by putting a link in place of a folder.
func addAt(p *archive.Packer, root int, name string) error {
	dir, base := splitPath(name)
	if dir == "" {
		dir = "."
	}
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	}
	fd, err := unix.Openat2(root, dir, &how)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	return p.Add(name, fd, base)
}

func (n naive) ApplyDiff(ctx context.Context, id string, diff io.Reader) (int64, error) {
	dir, err := n.p.Get(ctx, id)
	if err != nil {
		return 0, err
	}
	o := archive.UnpackOptions{Whiteouts: archive.Apply, RootEntry: true}
	if os.Geteuid() != 0 {
		o.NoOwner, o.Devices = true, archive.SkipDevices
	}
	done, err := archive.Unpack(ctx, dir, diff, o)
	if e := n.p.Put(context.WithoutCancel(ctx), id); err == nil {
		err = e
	}
	if err == nil {
		err = failpoint.Hit(failpoint.GraphApply)
	}
	if err != nil {
		return 0, err
	}
	return done.Bytes, nil
}

func (n naive) DiffSize(ctx context.Context, id string) (int64, error) {
	trees, err := n.open(ctx, id)
	if err != nil {
		return 0, err
	}
	var size int64
	seen := map[uint64]bool{}
	err = compareTrees(ctx, trees, func(_ Change, st *unix.Stat_t) {
		if st == nil || st.Mode&unix.S_IFMT != unix.S_IFREG && st.Mode&unix.S_IFMT != unix.S_IFLNK {
			return
		}
		if st.Nlink == 1 || !seen[st.Ino] {
			size += st.Size
			seen[st.Ino] = st.Nlink > 1
		}
	})
	if e := trees.put(); err == nil {
		err = e
	}
	return size, err
}
