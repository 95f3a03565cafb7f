package client

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SealedCommand puts a program into memory that nobody can write to any more, and
// gives a path by which it can be executed while keep is open. As the program of
// the supervisor, and so of every container's first moments, it can neither be
// overwritten by a container nor need be copied at each start.
//
// It fails where the kernel forbids executable memory (vm.memfd_noexec=2).
func SealedCommand(binary []byte) (path string, keep *os.File, err error) {
	fd, err := unix.MemfdCreate("engine-supervisor", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3 all are executable
		fd, err = unix.MemfdCreate("engine-supervisor", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return "", nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "engine-supervisor")
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if _, err := f.WriteAt(binary, 0); err != nil {
		return "", nil, err
	}
	if err := f.Chmod(0o511); err != nil {
		return "", nil, err
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return "", nil, os.NewSyscallError("fcntl", err)
	}
	// Not /proc/self: in the child that number may be another file before the exec.
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()), f, nil
}
