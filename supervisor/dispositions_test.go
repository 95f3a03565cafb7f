package supervisor

import (
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

func ignoredSignals(t *testing.T) string {
	status, err := os.ReadFile("/proc/self/status")
	assert.NilError(t, err)
	_, rest, _ := strings.Cut(string(status), "SigIgn:\t")
	mask, _, _ := strings.Cut(rest, "\n")
	return mask
}

func TestContainersInheritNoIgnoredSignals(t *testing.T) {
	for _, sig := range []uintptr{32, 33, uintptr(unix.SIGALRM)} {
		ignore := kernelSigaction{handler: sigIgn}
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0)
		assert.Equal(t, errno, unix.Errno(0))
	}
	assert.Equal(t, ignoredSignals(t), "0000000180002000")
	defaultIgnored()
	assert.Equal(t, ignoredSignals(t), "0000000000000000")
}
