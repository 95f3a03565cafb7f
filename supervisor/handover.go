package supervisor

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/supervisor/spool"
)

// handover is what a supervisor tells the program that it becomes, in memory
// whose descriptor is an argument. It has what lies in no file: descriptors.
// All the rest is read from the exec root, as after a crash. 0 is no descriptor.
type handover struct {
	Version    int
	Lock       int
	Listener   int
	Ending     bool
	Containers map[string]inherited

	passed []int // duplicates that outlive execve
}

// handoverVersion grows with changes that an earlier program would not understand.
const handoverVersion = 1

type inherited struct {
	PidFD    int                      `json:",omitempty"`
	TTY      int                      `json:",omitempty"`
	Stdin    int                      `json:",omitempty"`
	Output   [spool.Streams]int       // the FIFOs; a container that is gone has left its last words there
	Released bool                     `json:",omitempty"`
	Execs    map[string]inheritedExec `json:",omitempty"`
}

type inheritedExec struct {
	PidFD int
	Held  []inheritedFile `json:",omitempty"`
}

type inheritedFile struct {
	Name string
	FD   int
}

// pass makes a duplicate of f that outlives execve.
func (h *handover) pass(f *os.File) (int, error) { return h.passConn(f) }

func (h *handover) passConn(f syscall.Conn) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	if cerr := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD, 3) }); cerr != nil {
		return 0, os.ErrClosed // the only reason
	}
	if err != nil {
		return 0, os.NewSyscallError("fcntl", err)
	}
	h.passed = append(h.passed, fd)
	return fd, nil
}

// close is for an execve that did not happen.
func (h *handover) close() {
	for _, fd := range h.passed {
		unix.Close(fd)
	}
}

// file puts h into memory, whose descriptor outlives execve.
func (h *handover) file() (int, error) {
	h.Version = handoverVersion
	text, err := json.Marshal(h)
	if err != nil {
		return 0, err
	}
	fd, err := unix.MemfdCreate("handover", 0)
	if err != nil {
		return 0, os.NewSyscallError("memfd_create", err)
	}
	h.passed = append(h.passed, fd)
	for off := 0; off < len(text); {
		n, err := unix.Pwrite(fd, text[off:], int64(off))
		if err != nil {
			return 0, os.NewSyscallError("write", err)
		}
		off += n
	}
	return fd, nil
}

// receive reads what the program that this process was has handed over, and
// sees to it that no container inherits it.
func receive(fd int) (*handover, error) {
	f := os.NewFile(uintptr(fd), "handover")
	if f == nil {
		return nil, fmt.Errorf("descriptor %d is not open", fd)
	}
	defer f.Close()
	const most = 64 << 20
	text, err := io.ReadAll(io.NewSectionReader(f, 0, most))
	if err != nil {
		return nil, err
	}
	h := &handover{}
	if err := json.Unmarshal(text, h); err != nil {
		return nil, fmt.Errorf("handover: %w", err)
	}
	if h.Version != handoverVersion {
		return nil, fmt.Errorf("handover of version %d, not %d", h.Version, handoverVersion)
	}
	all := []int{h.Lock, h.Listener}
	for _, in := range h.Containers {
		all = append(all, in.all()...)
	}
	for _, fd := range all {
		if fd != 0 {
			unix.CloseOnExec(fd)
		}
	}
	return h, nil
}

func (in inherited) all() []int {
	all := append([]int{in.PidFD, in.TTY, in.Stdin}, in.Output[:]...)
	for _, x := range in.Execs {
		all = append(all, x.PidFD)
		for _, f := range x.Held {
			all = append(all, f.FD)
		}
	}
	return all
}

// take gives what is inherited of a container; the caller owns the descriptors.
func (h *handover) take(id string) inherited {
	if h == nil {
		return inherited{}
	}
	in := h.Containers[id]
	delete(h.Containers, id)
	return in
}

// drop closes what nobody took.
func (h *handover) drop() {
	if h == nil {
		return
	}
	for _, in := range h.Containers {
		in.close()
	}
	h.Containers = nil
}

func (in inherited) close() {
	for _, fd := range in.all() {
		if fd != 0 {
			unix.Close(fd)
		}
	}
}

// inheritedAs makes a file of an inherited descriptor; nil of 0.
func inheritedAs(fd int, name string) *os.File {
	if fd == 0 {
		return nil
	}
	return os.NewFile(uintptr(fd), name)
}
