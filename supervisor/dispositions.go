package supervisor

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	sigIgn     = 1  // SIG_IGN
	lastSignal = 64 // SIGRTMAX
)

// kernelSigaction is the kernel's struct sigaction on the architectures that
// Go and libcontainer share; only the handler is of interest.
type kernelSigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// defaultIgnored gives signals that this process was started with as ignored
// their default disposition: containers would inherit it. nohup ignores
// SIGHUP, make the two signals that belong to the C library. The call is the
// kernel's own, because the C library and Go's runtime leave those two alone.
func defaultIgnored() {
	for sig := uintptr(1); sig <= lastSignal; sig++ {
		var now kernelSigaction
		if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, 0, uintptr(unsafe.Pointer(&now)), 8, 0, 0); errno != 0 || now.handler != sigIgn {
			continue
		}
		var byDefault kernelSigaction
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
	}
}
