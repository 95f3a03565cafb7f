package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Network is the kind of socket for net.Dial and net.Listen.
const Network = "unixpacket"

const (
	// maxPacket is what both sides can receive; larger messages go as memfd.
	maxPacket = 48 << 10
	maxFiles  = 8
	// maxMessage bounds the memfd of a large message.
	maxMessage = 32 << 20
)

// Conn carries messages and descriptors. Send may be called by several
// goroutines at a time, Receive by one.
type Conn struct {
	c   *net.UnixConn
	v   atomic.Int64 // that is spoken
	wmu sync.Mutex
	buf []byte
	oob []byte
}

// NewConn makes a Conn of a connected socket of the kind Network.
func NewConn(c *net.UnixConn) *Conn {
	conn := &Conn{c: c}
	conn.v.Store(Oldest)
	return conn
}

// Speak sets the version of the messages that are sent from now on.
func (c *Conn) Speak(version int) { c.v.Store(int64(version)) }

// Version is what Speak has set.
func (c *Conn) Version() int { return int(c.v.Load()) }

// Close ends the connection; a Receive that waits returns an error.
func (c *Conn) Close() error { return c.c.Close() }

// Send sends m with files, which stay the caller's.
func (c *Conn) Send(m Message, files ...*os.File) error {
	m.V = c.Version()
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(text) > maxPacket {
		body, err := memfd(text)
		if err != nil {
			return err
		}
		defer body.Close()
		files = append([]*os.File{body}, files...)
		if text, err = json.Marshal(Message{V: m.V, Seq: m.Seq, Large: true}); err != nil {
			return err
		}
	}
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			raw, err := f.SyscallConn()
			if err != nil {
				return err
			}
			// Not Fd(), which would make the file blocking.
			if err := raw.Control(func(fd uintptr) { fds[i] = int(fd) }); err != nil {
				return err
			}
		}
		rights = unix.UnixRights(fds...)
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	_, _, err = c.c.WriteMsgUnix(text, rights, nil)
	return err
}

// Receive waits for the next message. The files are the caller's.
func (c *Conn) Receive() (Message, []*os.File, error) {
	if c.buf == nil {
		c.buf = make([]byte, maxPacket+1024)
		c.oob = make([]byte, unix.CmsgSpace(maxFiles*4))
	}
	var m Message
	n, oobn, flags, _, err := c.c.ReadMsgUnix(c.buf, c.oob)
	if err != nil {
		return m, nil, err
	}
	if n == 0 && oobn == 0 {
		return m, nil, io.EOF
	}
	files, err := received(c.oob[:oobn])
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errors.New("packet too large")
	}
	if err == nil {
		err = json.Unmarshal(c.buf[:n], &m)
	}
	if err == nil && m.Large {
		files, err = unpack(&m, files)
	}
	if err == nil && m.V > Version {
		err = fmt.Errorf("message of version %d, newer than %d", m.V, Version)
	}
	if err != nil {
		CloseAll(files)
		return m, nil, err
	}
	return m, files, nil
}

// CloseAll closes files; nil ones are skipped.
func CloseAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

func received(oob []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // credentials and such
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd) // net sets MSG_CMSG_CLOEXEC; this is for older kernels of other sockets
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

// unpack replaces m by the message in the first file.
func unpack(m *Message, files []*os.File) ([]*os.File, error) {
	if len(files) == 0 {
		return nil, errors.New("large message without its memfd")
	}
	body, rest := files[0], files[1:]
	defer body.Close()
	text, err := io.ReadAll(io.NewSectionReader(body, 0, maxMessage+1))
	if err != nil {
		return rest, err
	}
	if len(text) > maxMessage {
		return rest, errors.New("message too large")
	}
	*m = Message{}
	return rest, json.Unmarshal(text, m)
}

func memfd(text []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("message", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "message")
	if _, err := f.WriteAt(text, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// PeerUID is the user who opened the other end.
func PeerUID(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) {
		cred, cerr = unix.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if cerr != nil {
		return 0, cerr
	}
	return cred.Uid, nil
}
