package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver"
)

func pair(t testing.TB) (a, b *Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	assert.NilError(t, err)
	var ends [2]*Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		c, err := net.FileConn(f)
		f.Close()
		assert.NilError(t, err)
		t.Cleanup(func() { c.Close() })
		ends[i] = NewConn(c.(*net.UnixConn))
	}
	return ends[0], ends[1]
}

func TestMessagesOfEverySizeArriveWithTheirFiles(t *testing.T) {
	a, b := pair(t)
	for _, size := range []int{0, 1, maxPacket - 100, maxPacket, maxPacket + 1, 64 << 10, 5 << 20} {
		body, err := json.Marshal(strings.Repeat("x", size))
		assert.NilError(t, err)
		r, w, err := os.Pipe()
		assert.NilError(t, err)
		sent := make(chan error, 1)
		go func() { sent <- a.Send(Message{Seq: 3, Op: "x", Body: body}, r, w) }()
		m, files, err := b.Receive()
		assert.NilError(t, err)
		assert.NilError(t, <-sent)
		assert.Equal(t, m.Seq, uint64(3))
		assert.Assert(t, bytes.Equal(m.Body, body), "size %d", size)
		assert.Equal(t, len(files), 2)
		_, err = files[1].WriteString("through")
		assert.NilError(t, err)
		p := make([]byte, 10)
		n, err := r.Read(p)
		assert.NilError(t, err)
		assert.Equal(t, string(p[:n]), "through")
		CloseAll(append(files, r, w))
	}
}

func TestANewerVersionIsRefused(t *testing.T) {
	a, b := pair(t)
	_, err := a.c.Write([]byte(`{"v":99,"seq":1}`))
	assert.NilError(t, err)
	_, _, err = b.Receive()
	assert.ErrorContains(t, err, "newer")
}

func TestTheEndOfAConnectionIsSeen(t *testing.T) {
	a, b := pair(t)
	a.Close()
	_, _, err := b.Receive()
	assert.Assert(t, err != nil)
}

func TestErrorsKeepTheirClassAndText(t *testing.T) {
	for _, class := range []error{
		execdriver.ErrExists, execdriver.ErrNotFound, execdriver.ErrNotRunning, execdriver.ErrNoProgram,
		execdriver.ErrNotExecutable, execdriver.ErrUnsupported, ErrInvalid,
	} {
		text, err := json.Marshal(AsError(fmt.Errorf("while doing: %w", class)))
		assert.NilError(t, err)
		var back *Error
		assert.NilError(t, json.Unmarshal(text, &back))
		assert.Assert(t, errors.Is(back, class))
		assert.Equal(t, back.Error(), "while doing: "+class.Error())
		assert.Equal(t, errors.Is(back, os.ErrClosed), false)
	}
	assert.Assert(t, AsError(nil) == nil)
	assert.Equal(t, AsError(errors.New("x")).Code, "internal")
}

// FuzzReceive: whatever comes, descriptors do not leak and nothing panics.
func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"v":1,"seq":1,"op":"hello","body":{}}`), true)
	f.Add([]byte(`{"v":1,"seq":1,"large":true}`), true)
	f.Add([]byte(`{"v":1,"seq":1,"large":true}`), false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, text []byte, withFile bool) {
		if len(text) > maxPacket {
			return
		}
		a, b := pair(t)
		var oob []byte
		if withFile {
			null, err := os.Open(os.DevNull)
			assert.NilError(t, err)
			defer null.Close()
			oob = unix.UnixRights(int(null.Fd()))
		}
		before := descriptors(t)
		if _, _, err := a.c.WriteMsgUnix(text, oob, nil); err != nil {
			return
		}
		_, files, err := b.Receive()
		if err != nil && len(files) > 0 {
			t.Fatal("files with an error")
		}
		CloseAll(files)
		if after := descriptors(t); after > before {
			t.Fatalf("%d descriptors, %d before", after, before)
		}
	})
}

func descriptors(t *testing.T) int {
	entries, err := filepath.Glob("/proc/self/fd/*")
	assert.NilError(t, err)
	return len(entries)
}
