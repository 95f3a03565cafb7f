package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver/fake"
	"github.com/jobengine/engine/supervisor/protocol"
)

func TestOnlyThePipeItselfIsOpened(t *testing.T) {
	childs, ours, err := inputPipe()
	assert.NilError(t, err)
	defer childs.Close()
	defer ours.Close()
	info, err := childs.Stat()
	assert.NilError(t, err)
	assert.Equal(t, info.Mode().Perm(), os.FileMode(0o666)) // whatever the umask
	inode := inodeOf(ours)
	assert.Assert(t, inode != 0)
	path := fmt.Sprint("/proc/self/fd/", number(t, childs))

	f := openPipe(path, inode)
	assert.Assert(t, f != nil)
	_, err = f.WriteString("x")
	assert.NilError(t, err)
	f.Close()
	assert.Assert(t, pipeOf(os.Getpid(), inode) != nil)
	assert.Assert(t, openPipe(path, inode+1) == nil)

	// Neither what has a name, nor something else with the number.
	fifo := filepath.Join(t.TempDir(), "fifo")
	assert.NilError(t, unix.Mkfifo(fifo, 0o600))
	var st unix.Stat_t
	assert.NilError(t, unix.Stat(fifo, &st))
	assert.Assert(t, openPipe(fifo, st.Ino) == nil)
	assert.NilError(t, unix.Stat("/dev/null", &st))
	assert.Assert(t, openPipe("/dev/null", st.Ino) == nil)
	assert.Assert(t, openPipe("/proc/self/fd/100000", inode) == nil)
	assert.Equal(t, inodeOf(nil), uint64(0))
}

func number(t *testing.T, f *os.File) (fd int) {
	t.Helper()
	raw, err := f.SyscallConn()
	assert.NilError(t, err)
	assert.NilError(t, raw.Control(func(n uintptr) { fd = int(n) }))
	return fd
}

// TestADaemonsWriteEndIsTaken by a supervisor that could find none itself, but
// not for a stdin that was closed.
func TestADaemonsWriteEndIsTaken(t *testing.T) {
	s, err := newSupervisor(t.TempDir(), Drivers{"fake": fake.New})
	assert.NilError(t, err)
	childs, ours, err := inputPipe()
	assert.NilError(t, err)
	defer childs.Close()
	for _, closed := range []bool{false, true} {
		pidfd, err := os.Open(os.DevNull)
		assert.NilError(t, err)
		c := &container{id: "c", dir: t.TempDir(), ended: make(chan struct{}), pidfd: pidfd, state: state{
			Create: protocol.Create{OpenStdin: true}, StdinInode: inodeOf(ours), StdinClosed: closed,
		}}
		s.containers["c"] = c
		_, err = s.give(protocol.Give{ID: "c", Stdin: true}, []*os.File{pidfd})
		assert.Assert(t, errors.Is(err, protocol.ErrInvalid))
		_, err = s.give(protocol.Give{ID: "c", Stdin: true}, []*os.File{pidfd, ours})
		assert.NilError(t, err)
		assert.Equal(t, c.stdin != nil, !closed)
		c.closeFiles()
	}
	ours.Close()
	n, err := childs.Read(make([]byte, 1))
	assert.Assert(t, n == 0 && err != nil, "somebody still has a write end")
}
