package supervisor

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/supervisor/protocol"
)

// awaitProcess waits until the process of pidfd has ended and gives its exit
// code. A child is not reaped yet, so that its code can still be asked for
// should this supervisor die before it is recorded: call reap then.
func awaitProcess(pidfd *os.File, p protocol.Process) (code int, problem string) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return 255, err.Error()
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
		return 255, "waiting for the process: " + err.Error()
	}
	if isChild {
		return code, ""
	}
	// Somebody else's child: of a supervisor that died, or of a runtime's shim.
	if status, err := zombieStatus(p); err == nil {
		return exitCode(status), ""
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
		return code, ""
	}
	return 255, "the exit code is unknown: the process was reaped by another one while no supervisor lived"
}

// reap takes the zombie away, if it is our child.
func reap(pidfd *os.File) {
	if raw, err := pidfd.SyscallConn(); err == nil {
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
func zombieStatus(p protocol.Process) (unix.WaitStatus, error) {
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

// startTime is when the process started, in clock ticks since boot.
func startTime(pid int) (uint64, error) {
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

func writeFD(fd int, p []byte) (int, error) { return unix.Write(fd, p) }
