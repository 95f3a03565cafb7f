package supervisor

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

func ignoredSignals(t *testing.T) uint64 {
	status, err := os.ReadFile("/proc/self/status")
	assert.NilError(t, err)
	_, rest, _ := strings.Cut(string(status), "SigIgn:\t")
	text, _, _ := strings.Cut(rest, "\n")
	mask, err := strconv.ParseUint(text, 16, 64)
	assert.NilError(t, err)
	return mask
}

func TestContainersInheritNoIgnoredSignals(t *testing.T) {
	for _, sig := range []uintptr{32, 33, uintptr(unix.SIGALRM)} {
		ignore := kernelSigaction{handler: sigIgn}
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0)
		assert.Equal(t, errno, unix.Errno(0))
	}
	const ignored = 0x180002000 // and perhaps others, by whoever runs the tests
	assert.Equal(t, ignoredSignals(t)&ignored, uint64(ignored))
	defaultIgnored()
	assert.Equal(t, ignoredSignals(t), uint64(0))
}
