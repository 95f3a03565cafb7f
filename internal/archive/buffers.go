package archive

import (
	"bufio"
	"io"
	"sync"
)

// copyBuffers holds what file contents pass through: large enough that a system
// call's cost does not matter.
var copyBuffers = sync.Pool{New: func() any { return new([1 << 20]byte) }}

// readers holds the buffers between a tar reader, which asks for 512 bytes at a
// time, and its source.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 256<<10) }}

func bufferedReader(r io.Reader) (b *bufio.Reader, release func()) {
	b = readers.Get().(*bufio.Reader)
	b.Reset(r)
	return b, func() {
		b.Reset(nil)
		readers.Put(b)
	}
}
