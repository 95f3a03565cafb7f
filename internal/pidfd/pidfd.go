package pidfd

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Process names a process so that a later one with its number is told apart.
type Process struct {
	Pid       int
	StartTime uint64 // clock ticks since boot, from /proc/PID/stat
}

// ErrUnknown is returned for a process that somebody else has reaped.
var ErrUnknown = errors.New("the exit code is unknown: another process has reaped it")

// Await waits in the poller until the process of f has ended, and gives its exit
// code: 128 plus the number for a process that a signal ended. A child is not
// reaped, so that its code can still be asked for should the caller die before
// it is recorded: call Reap then.
//
// A process that is not a child gives its code away while it is a zombie, and
// on Linux 6.15 also afterwards. If it is too late the code is 255, and the
// error says so.
func Await(f *os.File, p Process) (code int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 255, err
	}
	isChild := true
	err = raw.Read(func(fd uintptr) bool {
		var ended bool
		if isChild {
			var werr error
			ended, code, werr = waitid(int(fd), unix.WNOWAIT)
			if werr == unix.ECHILD {
				isChild = false
			} else {
				return ended
			}
		}
		return hasEnded(int(fd))
	})
	if err != nil {
		return 255, fmt.Errorf("wait for process %d: %w", p.Pid, err)
	}
	if isChild {
		return code, nil
	}
	// Somebody else's child: of a parent that died, or of a runtime's shim.
	if status, err := zombieStatus(p); err == nil {
		return exitCode(status), nil
	}
	_ = raw.Control(func(fd uintptr) {
		var info unix.PidfdInfo
		info.Mask = unix.PIDFD_INFO_EXIT
		if err = unix.IoctlPidfdInfo(int(fd), &info); err == nil && info.Mask&unix.PIDFD_INFO_EXIT == 0 {
			err = unix.ENODATA
		}
		code = exitCode(unix.WaitStatus(info.Exit_code))
	})
	if err == nil {
		return code, nil
	}
	return 255, ErrUnknown
}

// Reap takes the zombie away, if it is our child and has ended.
func Reap(f *os.File) {
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _, _ = waitid(int(fd), 0) })
	}
}

// waitid asks for the end of a child without waiting for it.
func waitid(pidfd, flags int) (ended bool, code int, err error) {
	// The kernel's siginfo_t for SIGCHLD.
	var info struct {
		signo, errno, code int32
		_                  int32
		pid                int32
		uid                uint32
		status             int32
		_                  [100]byte
	}
	for {
		err = unix.Waitid(unix.P_PIDFD, pidfd, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG|flags, nil)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil || info.pid == 0 {
		return false, 0, err
	}
	const exited = 1 // CLD_EXITED
	if info.code == exited {
		return true, int(info.status), nil
	}
	return true, 128 + int(info.status), nil
}

func hasEnded(pidfd int) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds, 0)
	return n > 0
}

func exitCode(s unix.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

// zombieStatus reads the wait status of a process that nobody has reaped yet.
func zombieStatus(p Process) (unix.WaitStatus, error) {
	fields, err := procStat(p.Pid)
	if err != nil {
		return 0, err
	}
	started, err := strconv.ParseUint(fields[statStartTime], 10, 64)
	if err != nil || started != p.StartTime || fields[statState] != "Z" {
		return 0, os.ErrNotExist
	}
	status, err := strconv.ParseUint(fields[len(fields)-1], 10, 32)
	return unix.WaitStatus(status), err
}

// ZombieCode gives the exit code of a process that has ended and was not reaped yet.
func ZombieCode(p Process) (code int, ok bool) {
	status, err := zombieStatus(p)
	return exitCode(status), err == nil
}

// StartTime is when the process started, in clock ticks since boot.
func StartTime(pid int) (uint64, error) {
	fields, err := procStat(pid)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(fields[statStartTime], 10, 64)
}

// Indexes into procStat, see proc_pid_stat(5); there they are counted from 1 and from the pid.
const (
	statState     = 0
	statStartTime = 19
)

// procStat gives the fields of /proc/PID/stat after the name, which may hold anything.
func procStat(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), " ")
	fields := strings.Fields(rest)
	if len(fields) <= statStartTime {
		return nil, fmt.Errorf("/proc/%d/stat: too short", pid)
	}
	return fields, nil
}

// Open gives a pidfd of p for Await, and not of a later process with its number:
// then and when p is gone it returns os.ErrProcessDone.
func Open(p Process) (*os.File, error) {
	fd, err := unix.PidfdOpen(p.Pid, unix.PIDFD_NONBLOCK)
	if err == unix.ESRCH {
		return nil, os.ErrProcessDone
	} else if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	if started, err := StartTime(p.Pid); err != nil || started != p.StartTime {
		f.Close()
		return nil, os.ErrProcessDone
	}
	return f, nil
}

// Alive says whether p still runs. A zombie does not.
func (p Process) Alive() bool {
	fields, err := procStat(p.Pid)
	if err != nil || fields[statState] == "Z" || fields[statState] == "X" {
		return false
	}
	started, err := strconv.ParseUint(fields[statStartTime], 10, 64)
	return err == nil && started == p.StartTime
}

// SignalTo sends a signal to a process that may have ended, and whose id may
// be another's by now: that is os.ErrProcessDone.
func SignalTo(p Process, sig unix.Signal) error {
	f, err := Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	return Signal(f, sig)
}

// Signal sends sig to the process of f; os.ErrProcessDone if it has been reaped.
func Signal(f *os.File, sig unix.Signal) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := raw.Control(func(fd uintptr) { serr = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return err
	}
	if serr == unix.ESRCH {
		return os.ErrProcessDone
	}
	return os.NewSyscallError("pidfd_send_signal", serr)
}
