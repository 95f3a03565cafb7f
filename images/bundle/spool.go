package bundle

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/internal/archive"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
)

// The bounds of an archive. Documents are those that are read into memory.
const (
	maxManifestBytes = 4 << 20
	maxConfigBytes   = 8 << 20
	maxMembers       = 100_000
	maxNameBytes     = 4096
	maxNamesBytes    = 32 << 20 // of all members together
	maxLinkDepth     = 10
)

// Spool is an archive whose members lie in a folder.
type Spool struct {
	fs      durable.FS
	dir     string
	members map[string]member
	files   int // so far
	mu      sync.Mutex
	uses    map[string]int // of each file that is a layer; guarded by mu once images are given out
}

// member is a file of the archive, or a link to another one.
type member struct {
	file   string // path of the spooled file
	size   int64
	digest digest.Digest // where it was computed and found to be what the name says
	link   string        // the name that it leads to; "" for a file
}

// Read spools an archive, compressed or not, into a folder that is made for it.
// All members together may have maxBytes; 0 is no limit. After an error nothing
// is left.
func Read(ctx context.Context, fsys durable.FS, dir string, r io.Reader, maxBytes int64) (sp *Spool, err error) {
	if err := fsys.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	sp = &Spool{fs: fsys, dir: dir, members: map[string]member{}, uses: map[string]int{}}
	defer func() {
		if err != nil {
			sp.Close()
			sp = nil
		}
	}()
	plain, _, err := archive.Decompress(r)
	if err != nil {
		return sp, err
	}
	defer plain.Close()
	ahead := archive.ReadAhead(plain)
	defer ahead.Close()
	return sp, sp.readAll(ctx, tar.NewReader(ahead), maxBytes)
}

// Close removes the spooled files.
func (sp *Spool) Close() error { return sp.fs.RemoveAll(sp.dir) }

func (sp *Spool) readAll(ctx context.Context, tr *tar.Reader, left int64) error {
	limited := left > 0
	last, names := "", 0
	buf := make([]byte, 1<<20)
	for count := 0; ; count++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return tarError(last, err)
		}
		if count == maxMembers {
			return errs.TooLarge("archive has more than %d members", maxMembers)
		}
		name, err := localName(hdr.Name)
		if err != nil {
			return err
		}
		last = name
		if names += len(name) + len(hdr.Linkname); names > maxNamesBytes {
			return errs.TooLarge("archive has names of more than %d bytes", maxNamesBytes)
		}
		switch hdr.Typeflag {
		case tar.TypeReg:
			if limited && hdr.Size > left {
				return fmt.Errorf("%w: member %q of %d bytes", archive.ErrTooLarge, name, hdr.Size)
			}
			left -= hdr.Size
			if err := sp.spool(tr, name, hdr.Size, buf); err != nil {
				return err
			}
		case tar.TypeSymlink, tar.TypeLink:
			if err := sp.link(hdr, name); err != nil {
				return err
			}
		case tar.TypeDir, tar.TypeXGlobalHeader:
		default:
			return errs.Invalid("archive member %q is not a file, folder or link", name)
		}
	}
}

// spool writes the member that tr is at into a file.
func (sp *Spool) spool(tr *tar.Reader, name string, size int64, buf []byte) (err error) {
	if _, twice := sp.members[name]; twice && isDocument(name) {
		return errs.Invalid("archive member %q is there twice", name)
	}
	if isDocument(name) && size > maxManifestBytes { // before it is written anywhere
		return errs.TooLarge("archive member %q of %d bytes is larger than %d", name, size, maxManifestBytes)
	}
	if old, ok := sp.members[name]; ok && old.file != "" {
		_ = sp.fs.Remove(old.file) // as in a tar, the later one counts
	}
	m := member{file: filepath.Join(sp.dir, strconv.Itoa(sp.files)), size: size}
	sp.files++
	f, err := sp.fs.Create(m.file, 0o600)
	if err != nil {
		return err
	}
	var w io.Writer = f
	var verifier digest.Verifier
	if want := blobDigest(name); want != "" {
		verifier = want.Verifier()
		w = io.MultiWriter(f, verifier)
		m.digest = want
	}
	_, err = copyBuffer(w, tr, buf)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return tarError(name, err)
	}
	if verifier != nil && !verifier.Verified() {
		return errs.Invalid("archive member %q does not have the digest that is its name", name)
	}
	sp.members[name] = m
	return nil
}

// link notes a link, whose target must be inside the archive.
func (sp *Spool) link(hdr *tar.Header, name string) error {
	target := hdr.Linkname
	if hdr.Typeflag == tar.TypeSymlink && !path.IsAbs(target) {
		target = path.Join(path.Dir(name), target)
	}
	target, err := localName(target)
	if err != nil {
		return errs.As(errdefs.ErrInvalidArgument, fmt.Errorf("archive member %q is a link that leads out of the archive, to %q", name, hdr.Linkname))
	}
	sp.members[name] = member{link: target}
	return nil
}

// has tells whether there is a file of that name.
func (sp *Spool) has(name string) bool {
	_, err := sp.find(name)
	return err == nil
}

// find gives a file by name, through links.
func (sp *Spool) find(name string) (member, error) {
	clean, err := localName(name)
	if err != nil {
		return member{}, err
	}
	for range maxLinkDepth {
		m, ok := sp.members[clean]
		if !ok {
			return member{}, errs.Invalid("archive member %q: no such file or directory", clean)
		}
		if m.link == "" {
			return m, nil
		}
		clean = m.link
	}
	return member{}, errs.Invalid("archive member %q leads through more than %d links", name, maxLinkDepth)
}

// read gives the whole of a document.
func (sp *Spool) read(name string, maxBytes int64) ([]byte, error) {
	m, err := sp.find(name)
	if err != nil {
		return nil, err
	}
	if m.size > maxBytes {
		return nil, errs.TooLarge("archive member %q of %d bytes is larger than %d", name, m.size, maxBytes)
	}
	f, err := sp.fs.Open(m.file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, m.size))
}

// open gives a member to be read.
func (sp *Spool) open(m member) (io.ReadCloser, error) { return sp.fs.Open(m.file) }

// unuse removes a file with its last use.
func (sp *Spool) unuse(m member) {
	sp.mu.Lock()
	sp.uses[m.file]--
	unused := sp.uses[m.file] == 0
	sp.mu.Unlock()
	if unused {
		_ = sp.fs.Remove(m.file) // or Close does
	}
}

// localName cleans a name and refuses one that is not inside the archive.
func localName(name string) (string, error) {
	clean := path.Clean(name)
	switch {
	case len(name) > maxNameBytes:
		return "", errs.Invalid("archive member with a name of %d bytes", len(name))
	case path.IsAbs(name), clean == "..", strings.HasPrefix(clean, "../"), strings.ContainsRune(name, 0):
		return "", fmt.Errorf("%w: %q", archive.ErrBreakout, name)
	}
	return clean, nil
}

// isDocument tells the names whose content decides what the archive is.
func isDocument(name string) bool {
	switch name {
	case manifestFile, indexFile, layoutFile, repositoriesFile:
		return true
	}
	return false
}

// blobDigest gives the digest that the name of a blob promises, or "".
func blobDigest(name string) digest.Digest {
	hex, ok := strings.CutPrefix(name, "blobs/sha256/")
	if !ok {
		return ""
	}
	d := digest.NewDigestFromEncoded(digest.SHA256, hex)
	if d.Validate() != nil {
		return ""
	}
	return d
}

func tarError(name string, err error) error {
	where := "at its start"
	if name != "" {
		where = fmt.Sprintf("at or after member %q", name)
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w %s", archive.ErrTruncated, where)
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong), errors.Is(err, tar.ErrInsecurePath):
		return errs.As(errdefs.ErrInvalidArgument, fmt.Errorf("not a tar, or a damaged one, %s", where))
	}
	return fmt.Errorf("read archive %s: %w", where, err)
}

// copyBuffer is io.CopyBuffer without the shortcuts that leave the buffer unused.
func copyBuffer(w io.Writer, r io.Reader, buf []byte) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, buf)
}
