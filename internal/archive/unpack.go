package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
)

// Whiteouts is what Unpack does with names that start with ".wh.".
type Whiteouts int

const (
	// Plain: they are files like others.
	Plain Whiteouts = iota
	// Apply: they remove what was there before this archive; the tree holds the parents' files.
	Apply
	// Overlay: they become overlayfs' own marks; the tree holds this layer alone.
	Overlay
)

// Devices is what Unpack does with character and block device nodes.
type Devices int

// CreateDevices makes the nodes, RefuseDevices is an error, SkipDevices leaves them out.
const (
	CreateDevices Devices = iota
	RefuseDevices
	SkipDevices
)

// Owner is a numeric user and group.
type Owner struct{ UID, GID int }

// UnpackOptions says how an archive becomes a tree. The zero value unpacks
// everything as it stands, without limits.
type UnpackOptions struct {
	Whiteouts  Whiteouts
	Devices    Devices
	MaxBytes   int64  // of all files' contents, and of what follows the end mark; 0: no limit
	MaxEntries int64  // folders that are only implied count, too; 0: no limit
	NoOwner    bool   // leave files to the user that unpacks them
	Owner      *Owner // all files get this owner instead of their own
	RootEntry  bool   // an entry for the root itself sets its mode, owner and time
	NeedEnd    bool   // an archive without its end mark is cut off
	// NoOverwriteDirNonDir: a folder is not replaced by a file, nor the other way round.
	NoOverwriteDirNonDir bool
}

// Result is what was unpacked.
type Result struct {
	Bytes   int64 // of the contents of regular files, hard links counted once, and of the targets of symbolic links
	Entries int64 // and folders that were only implied
	Root    bool  // there was an entry for the root itself
}

// maxSparse bounds what files with holes may claim to hold when there is no
// other limit: their size costs the archive nothing.
const maxSparse = 8 << 30

// Unpack makes the tree that the uncompressed tar r describes in the folder dir,
// and reads r to its end. Nothing outside dir is made, changed or removed,
// whatever r holds and whatever links are in dir.
//
// Names are relative to dir, a leading slash changes nothing; a ".." that leaves
// it is ErrBreakout. Hard links lead to names within dir. Extended attributes
// other than user.*, security.capability and ACLs are dropped. What is in the
// way of an entry is removed, but a folder is merged with a folder. After an
// error what was made so far is left to the caller. Errors: ErrBreakout,
// ErrTooLarge, ErrTruncated, or the class invalid argument for other faults of
// the archive; what the disk or r says otherwise.
func Unpack(ctx context.Context, dir string, r io.Reader, o UnpackOptions) (Result, error) {
	t, err := openTree(dir)
	if err != nil {
		return Result{}, err
	}
	buffered, release := bufferedReader(&contextReader{ctx, r})
	defer release()
	end := &endWatch{r: buffered}
	u := &unpacker{tree: t, o: o, tar: tar.NewReader(buffered), made: newPathSet()}
	if o.NeedEnd {
		u.tar = tar.NewReader(end)
	}
	u.prepare()
	buf := copyBuffers.Get().(*[1 << 20]byte)
	defer copyBuffers.Put(buf)
	u.buf = buf[:]

	err = u.entries(ctx)
	if err == nil && o.NeedEnd && !end.sawMark() {
		err = readError(u.last, io.ErrUnexpectedEOF)
	}
	if err == nil {
		err = u.drain(buffered)
	}
	if e := t.close(); err == nil {
		err = e
	}
	return u.result, err
}

type unpacker struct {
	*tree
	o      UnpackOptions
	tar    *tar.Reader
	buf    []byte
	result Result
	last   string  // the last entry that was begun
	made   pathSet // what this archive made, kept for Apply only
}

// prepare tells the tree what the handling of whiteouts asks of it.
func (u *unpacker) prepare() {
	// Nobody watches a layer's folders while it is filled; a million of them need no memory so.
	u.tree.keepTimes = u.o.Whiteouts != Plain
	u.tree.whiteout = func(int, string) bool { return false }
	u.tree.replaced = func(int) error { return nil }
	u.tree.implied = func(path string) error {
		if u.o.Whiteouts == Apply {
			u.made.addWithParents(path)
		}
		return u.count()
	}
	if u.o.Whiteouts == Overlay {
		u.tree.whiteout = hasWhiteout
		u.tree.replaced = setOpaque
	}
}

func (u *unpacker) entries(ctx context.Context) error {
	for {
		hdr, err := u.tar.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return readError(u.last, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if hdr.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		u.last = hdr.Name
		if err := u.count(); err != nil {
			return err
		}
		if err := u.entry(hdr); err != nil {
			return fmt.Errorf("unpack %q: %w", shorten(hdr.Name), err)
		}
	}
}

// count adds one to the entries.
func (u *unpacker) count() error {
	if u.result.Entries++; u.o.MaxEntries > 0 && u.result.Entries > u.o.MaxEntries {
		return fmt.Errorf("%w of %d entries", ErrTooLarge, u.o.MaxEntries)
	}
	return nil
}

// drain reads what follows the end mark, so that hashes and pipes see all of it.
func (u *unpacker) drain(r io.Reader) error {
	if u.o.MaxBytes > 0 {
		r = LimitReader(r, u.o.MaxBytes)
	}
	for {
		_, err := r.Read(u.buf)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after the end of the archive: %w", err)
		}
	}
}

func shorten(name string) string {
	if len(name) > 200 {
		return name[:200] + "…"
	}
	return name
}

// contextReader ends a stream between two reads.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// endWatch remembers how many zero bytes were read last.
type endWatch struct {
	r    io.Reader
	zero int // zero bytes read last, in a row
}

func (e *endWatch) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	i := n
	for i > 0 && p[i-1] == 0 {
		i--
	}
	if i == 0 {
		e.zero += n
	} else {
		e.zero = n - i
	}
	return n, err
}

func (e *endWatch) sawMark() bool { return e.zero >= 1024 }
