package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Stream is one of a container's output streams. A terminal has only Stdout.
type Stream int

// The streams, also usable as index.
const (
	Stdout Stream = iota
	Stderr
)

// Streams is how many there are.
const Streams = 2

// String is the stream's name as the container's log has it.
func (s Stream) String() string {
	if s == Stderr {
		return "stderr"
	}
	return "stdout"
}

// Window is how many of a stream's newest bytes are kept at least.
const Window = 1 << 20

const (
	pageName = "commit"
	pageSize = 4096
	// magic spells "espool" and the version of this layout.
	magic = 0x6573706f6f6c0001
)

// The layout: 64-bit words in the machine's byte order, each stored and loaded
// whole. The commit has two slots; the number of commits in atCount tells by its
// lowest bit which one holds, so a killed writer leaves either the old state or
// the new one.
const (
	atMagic   = 0
	atRun     = 8
	atCount   = 16
	atKept    = 32 // one word a stream: offset of the oldest byte that is kept
	atWritten = 48 // one word a stream: bytes so far
	atEnded   = 64 // one word a stream: 1 when no more will come
	atSlots   = 128
	slotSize  = 128
	// in a slot
	atCommitted = 0  // one word a stream
	atPartial   = 16 // one word a stream
	atLogSize   = 32
	atLogInode  = 40
)

// Commit is the state of a container's log, together with how much of the spool it holds.
type Commit struct {
	// Offset of each stream's first byte that is not in the log yet.
	Offset [Streams]int64
	// PartialSince is when the first piece of an unfinished long line went into
	// the log, in nanoseconds since 1970; 0 if the last record ended a line.
	PartialSince [Streams]int64
	// LogSize is the log's size in bytes after the last whole record, LogInode the file's inode.
	LogSize  int64
	LogInode uint64
}

type page struct{ mem []byte }

func (p page) word(at int) *uint64 { return (*uint64)(unsafe.Pointer(&p.mem[at])) }
func (p page) load(at int) uint64  { return atomic.LoadUint64(p.word(at)) }
func (p page) store(at int, v uint64) {
	atomic.StoreUint64(p.word(at), v)
}

func (p page) commit(c Commit) {
	next := p.load(atCount) + 1
	base := atSlots + int(next&1)*slotSize
	for s := range Streams {
		p.store(base+atCommitted+8*s, uint64(c.Offset[s]))
		p.store(base+atPartial+8*s, uint64(c.PartialSince[s]))
	}
	p.store(base+atLogSize, uint64(c.LogSize))
	p.store(base+atLogInode, c.LogInode)
	p.store(atCount, next)
}

func (p page) committed() Commit {
	for {
		count := p.load(atCount)
		base := atSlots + int(count&1)*slotSize
		var c Commit
		for s := range Streams {
			c.Offset[s] = int64(p.load(base + atCommitted + 8*s))
			c.PartialSince[s] = int64(p.load(base + atPartial + 8*s))
		}
		c.LogSize = int64(p.load(base + atLogSize))
		c.LogInode = p.load(base + atLogInode)
		// The next commit writes the other slot, only the one after it this one.
		if p.load(atCount) == count {
			return c
		}
	}
}

func openPage(dir string, flags, prot int) (page, error) {
	path := filepath.Join(dir, pageName)
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return page{}, err
	}
	defer f.Close()
	if flags&os.O_CREATE != 0 {
		if err := f.Truncate(pageSize); err != nil {
			return page{}, err
		}
	}
	info, err := f.Stat()
	if err != nil {
		return page{}, err
	}
	if info.Size() != pageSize {
		return page{}, fmt.Errorf("%s: %w", path, errDamaged)
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, pageSize, prot, unix.MAP_SHARED)
	if err != nil {
		return page{}, os.NewSyscallError("mmap", err)
	}
	p := page{mem}
	if flags&os.O_CREATE == 0 && p.load(atMagic) != magic {
		p.close()
		return page{}, fmt.Errorf("%s: %w", path, errDamaged)
	}
	return p, nil
}

var errDamaged = errors.New("not a commit page")

func (p page) close() { _ = unix.Munmap(p.mem) }

func spoolName(s Stream) string { return "spool." + s.String() }
