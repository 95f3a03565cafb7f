package streams

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

func TestPipesBlockForTheProcessOnly(t *testing.T) {
	for d := range 3 {
		theirs, ours, err := Pipe(d)
		assert.NilError(t, err)
		assert.Assert(t, !nonblocking(t, theirs) && nonblocking(t, ours))
		theirs.Close()
		ours.Close()
	}
}

func nonblocking(t *testing.T, f *os.File) bool {
	t.Helper()
	raw, err := f.SyscallConn()
	assert.NilError(t, err)
	var flags int
	assert.NilError(t, raw.Control(func(fd uintptr) { flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0) }))
	assert.NilError(t, err)
	return flags&unix.O_NONBLOCK != 0
}
