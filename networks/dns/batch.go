package dns

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How much is read and written with one call of the kernel.
const (
	maxBatch   = 16
	batchBytes = 16 << 10 // of answers
)

// A batch is what one reader of a UDP socket works with: some questions, and the answers to them. It is
// used for as long as there is something to read, so there are as many as threads that read, not as containers.
//
// The calls are made without telling the scheduler, since they do not wait: to tell it costs as much as
// what is done between two calls, and ends in threads that wake each other when the machine is busy.
type batch struct {
	sc      scratch
	in      [maxBatch]mmsghdr
	inVec   [maxBatch]unix.Iovec
	inFrom  [maxBatch]unix.RawSockaddrInet4
	inBytes [maxBatch][maxQuery + 1]byte

	out      [maxBatch]mmsghdr
	outVec   [maxBatch]unix.Iovec
	outTo    [maxBatch]unix.RawSockaddrInet4
	outBytes [batchBytes]byte
	count    int // of answers that are not sent yet
	used     int // of outBytes
}

// mmsghdr is the kernel's struct of that name.
type mmsghdr struct {
	unix.Msghdr
	n uint32
}

var batches = sync.Pool{New: func() any {
	b := new(batch)
	for i := range maxBatch {
		for _, m := range []struct {
			hdr  *mmsghdr
			vec  *unix.Iovec
			name *unix.RawSockaddrInet4
		}{{&b.in[i], &b.inVec[i], &b.inFrom[i]}, {&b.out[i], &b.outVec[i], &b.outTo[i]}} {
			m.hdr.Iov = m.vec
			m.hdr.SetIovlen(1)
			m.hdr.Name = (*byte)(unsafe.Pointer(m.name))
			m.hdr.Namelen = unix.SizeofSockaddrInet4
		}
		b.inVec[i].Base = &b.inBytes[i][0]
		b.inVec[i].SetLen(len(b.inBytes[i]))
	}
	return b
}}

// receive reads what is there and gives the number of messages, 0 if there are none.
func (b *batch) receive(fd uintptr) (int, syscall.Errno) {
	for i := range b.in {
		b.in[i].Namelen = unix.SizeofSockaddrInet4
	}
	n, _, err := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.in)), maxBatch, unix.MSG_DONTWAIT, 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), 0
}

// message gives one of those that were received.
func (b *batch) message(i int) []byte { return b.inBytes[i][:b.in[i].n] }

// from gives who has sent it.
func (b *batch) from(i int) netip.AddrPort {
	a := &b.inFrom[i]
	return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&a.Port))[:]))
}

// reply takes over the answer to a message that was received.
func (b *batch) reply(fd uintptr, i int, msg []byte) {
	if b.count == maxBatch || b.used+len(msg) > batchBytes {
		b.send(fd)
	}
	own := b.outBytes[b.used:]
	long := len(msg) > len(own)
	if long {
		own = msg
	} else {
		b.used += copy(own, msg)
	}
	b.outVec[b.count].Base = &own[0]
	b.outVec[b.count].SetLen(len(msg))
	b.outTo[b.count] = b.inFrom[i]
	b.count++
	if long {
		b.send(fd) // before its bytes are another answer's
	}
}

// send sends what is not sent yet. What the kernel does not take is lost, as packets may be: a
// firewall of the container can be against it.
func (b *batch) send(fd uintptr) {
	for at := 0; at < b.count; {
		n, _, err := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.out[at])), uintptr(b.count-at), unix.MSG_DONTWAIT, 0, 0)
		if err != 0 {
			n = 1
		}
		at += int(n)
	}
	b.count, b.used = 0, 0
}
