package tarsplit

import (
	"archive/tar"
	"bufio"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
)

const magic = "engine tar index 1\n"

// The kinds of records.
const (
	kindEnd byte = iota
	kindRaw
	kindZeros
	kindFile
)

// The bounds of a record.
const (
	maxRaw  = 64 << 10
	maxName = 4096
)

// whiteout is how names begin that stand for no file; what such an entry holds
// is on no disk.
const whiteout = ".wh."

// Summary tells what Split has seen.
type Summary struct {
	// Bytes is the length of the tar.
	Bytes int64
	// Whole says why the tar cannot be had again from its tree, "" if it can.
	// There is no index then.
	Whole string
}

// Split reads an uncompressed tar to its end and writes its index to w. A tar
// that cannot be read is the unpacker's to complain of: its index ends where the
// trouble begins, and the rest is kept as it is. Errors are those of r and w.
func Split(w io.Writer, r io.Reader) (Summary, error) {
	s, err := newSplitter(w, r)
	if err != nil {
		return Summary{}, err
	}
	defer s.zstd.Close()
	whole, err := s.entries()
	if err == nil {
		err = s.drain()
	}
	if err == nil && whole == "" {
		err = s.end()
	}
	return Summary{Bytes: s.bytes, Whole: whole}, err
}

// splitter is the source of a tar reader: what that reads and is no content of
// a file becomes part of the index.
type splitter struct {
	r       io.Reader
	failure error // of r or of writing, which the tar reader would wrap
	bytes   int64
	content bool // what is read now is content of a file
	ignore  bool // there will be no index

	zstd  *zstd.Encoder
	out   *bufio.Writer
	raw   []byte
	zeros int64

	seed    maphash.Seed
	files   map[uint64]struct{} // with content
	folders map[uint64]struct{} // that lead to them
	links   map[uint64]struct{} // symbolic ones
}

func newSplitter(w io.Writer, r io.Reader) (*splitter, error) {
	if _, err := io.WriteString(w, magic); err != nil {
		return nil, err
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return &splitter{
		r: r, zstd: z, out: bufio.NewWriterSize(z, 64<<10), raw: make([]byte, 0, maxRaw),
		seed: maphash.MakeSeed(), files: map[uint64]struct{}{}, folders: map[uint64]struct{}{}, links: map[uint64]struct{}{},
	}, nil
}

func (s *splitter) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.bytes += int64(n)
	if err != nil && err != io.EOF {
		s.failure = err
	}
	if !s.content && !s.ignore {
		if werr := s.keep(p[:n]); werr != nil {
			s.failure = werr
			return n, werr
		}
	}
	return n, err
}

// entries goes through the tar; whole is why there will be no index.
func (s *splitter) entries() (whole string, err error) {
	tr := tar.NewReader(s)
	for {
		hdr, err := tr.Next()
		if s.failure != nil {
			return "", s.failure
		}
		if err == io.EOF {
			return "", nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return "", nil // what follows is kept as it is
		}
		if whole = s.entry(hdr); whole != "" {
			s.ignore = true
			return whole, nil
		}
		if !hasContent(hdr) {
			continue
		}
		if err := s.file(cleanName(hdr.Name), hdr.Size); err != nil {
			return "", err
		}
		s.content = true
		n, err := io.Copy(io.Discard, struct{ io.Reader }{tr})
		s.content = false
		if s.failure != nil {
			return "", s.failure
		}
		if err != nil || n != hdr.Size {
			// Cut off: no tree will come of it, and no index.
			s.ignore = true
			return "it is cut off", nil
		}
	}
}

// entry looks whether an entry spoils what came before, or cannot be had again.
func (s *splitter) entry(hdr *tar.Header) (whole string) {
	if hdr.Typeflag == tar.TypeXGlobalHeader {
		return ""
	}
	name := cleanName(hdr.Name)
	key := s.hash(name)
	if has(s.files, key) {
		return "it holds one file twice"
	}
	if hdr.Typeflag != tar.TypeDir && has(s.folders, key) {
		return "it replaces a folder"
	}
	if isSparse(hdr) {
		return "it holds a file with holes"
	}
	if hdr.Typeflag == tar.TypeSymlink {
		s.links[key] = struct{}{}
	}
	if !hasContent(hdr) {
		return ""
	}
	if len(name) > maxName {
		return "it holds a name that is too long"
	}
	s.files[key] = struct{}{}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		key := s.hash(dir)
		if has(s.links, key) || has(s.files, key) {
			return "it fills a folder through a link"
		}
		s.folders[key] = struct{}{}
	}
	return ""
}

// hasContent tells whether an entry's content is on the disk once it is unpacked.
func hasContent(hdr *tar.Header) bool {
	return (hdr.Typeflag == tar.TypeReg || hdr.Typeflag == tar.TypeCont) && hdr.Size > 0 &&
		!strings.HasPrefix(path.Base(hdr.Name), whiteout) && !strings.Contains(hdr.Name, "/"+whiteout) && !strings.HasPrefix(hdr.Name, whiteout)
}

// isSparse tells the files that an archive describes by their holes.
func isSparse(hdr *tar.Header) bool {
	if hdr.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range hdr.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// cleanName is a name from the root, as the unpacker has it.
func cleanName(name string) string { return path.Clean(strings.TrimLeft(name, "/")) }

func (s *splitter) hash(name string) uint64 { return maphash.String(s.seed, name) }

func has(set map[uint64]struct{}, key uint64) bool { _, ok := set[key]; return ok }

// drain reads what follows the end mark.
func (s *splitter) drain() error {
	buf := make([]byte, maxRaw)
	for {
		_, err := s.Read(buf)
		if s.failure != nil {
			return s.failure
		}
		if err == io.EOF {
			return nil
		}
	}
}

// keep takes bytes of the tar as they are. Runs of zeros cost nothing: there may
// be gigabytes of them behind the end mark (CVE-2017-14992).
func (s *splitter) keep(p []byte) error {
	for len(p) > 0 {
		part := p[:min(len(p), 4096)]
		p = p[len(part):]
		if len(part) == 4096 && isZero(part) {
			if len(s.raw) > 0 {
				if err := s.flushRaw(); err != nil {
					return err
				}
			}
			s.zeros += int64(len(part))
			continue
		}
		if err := s.flushZeros(); err != nil {
			return err
		}
		if len(s.raw)+len(part) > maxRaw {
			if err := s.flushRaw(); err != nil {
				return err
			}
		}
		s.raw = append(s.raw, part...)
	}
	return nil
}

func isZero(p []byte) bool {
	for len(p) >= 8 {
		if binary.NativeEndian.Uint64(p) != 0 {
			return false
		}
		p = p[8:]
	}
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

func (s *splitter) flushZeros() error {
	if s.zeros == 0 {
		return nil
	}
	n := s.zeros
	s.zeros = 0
	return s.record(kindZeros, n)
}

func (s *splitter) flushRaw() error {
	if len(s.raw) == 0 {
		return nil
	}
	if err := s.record(kindRaw, int64(len(s.raw))); err != nil {
		return err
	}
	_, err := s.out.Write(s.raw)
	s.raw = s.raw[:0]
	return err
}

func (s *splitter) file(name string, size int64) error {
	if err := errors.Join(s.flushZeros(), s.flushRaw(), s.record(kindFile, size, int64(len(name)))); err != nil {
		return err
	}
	_, err := s.out.WriteString(name)
	return err
}

func (s *splitter) end() error {
	if err := errors.Join(s.flushZeros(), s.flushRaw(), s.record(kindEnd, s.bytes)); err != nil {
		return err
	}
	if err := s.out.Flush(); err != nil {
		return err
	}
	return s.zstd.Close()
}

func (s *splitter) record(kind byte, numbers ...int64) error {
	var buf [1 + 2*binary.MaxVarintLen64]byte
	b := append(buf[:0], kind)
	for _, n := range numbers {
		b = binary.AppendUvarint(b, uint64(n))
	}
	_, err := s.out.Write(b)
	return err
}
