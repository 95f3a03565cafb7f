package seccomp

/*
#cgo LDFLAGS: -lseccomp
#include <stdlib.h>
#include <seccomp.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// ScmpSyscall is the number of a system call; below 0 for those that
// libseccomp knows on other architectures only.
type ScmpSyscall int32

// ErrSyscallDoesNotExist is the answer for a name that libseccomp does not know.
var ErrSyscallDoesNotExist = errors.New("seccomp: no such system call")

// VersionError says that libseccomp or the kernel is too old for something.
type VersionError struct{ What string }

func (e *VersionError) Error() string {
	return "seccomp: libseccomp or the kernel is too old for " + e.What
}

// GetLibraryVersion is the version of libseccomp.
func GetLibraryVersion() (major, minor, micro uint) {
	v := C.seccomp_version()
	if v == nil {
		return 0, 0, 0
	}
	return uint(v.major), uint(v.minor), uint(v.micro)
}

// GetAPI is the level of what libseccomp can do on this kernel.
func GetAPI() (uint, error) {
	level := C.seccomp_api_get()
	if level == 0 {
		return 0, errors.New("seccomp: the API level is unknown")
	}
	return uint(level), nil
}

// GetSyscallFromName gives the number of a system call on the native architecture.
func GetSyscallFromName(name string) (ScmpSyscall, error) {
	if nr, ok, err := resolvePack(name); ok {
		return nr, err
	}
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	nr := C.seccomp_syscall_resolve_name(c)
	if nr == C.__NR_SCMP_ERROR {
		return 0, ErrSyscallDoesNotExist
	}
	return ScmpSyscall(nr), nil
}

// GetSyscallFromNameByArch gives the number of a system call on an architecture.
func GetSyscallFromNameByArch(name string, arch ScmpArch) (ScmpSyscall, error) {
	if text, ok := strings.CutPrefix(name, packPrefix); ok {
		return lastOfPack(text, arch)
	}
	token, err := arch.native()
	if err != nil {
		return 0, err
	}
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	nr := C.seccomp_syscall_resolve_name_arch(token, c)
	if nr == C.__NR_SCMP_ERROR {
		return 0, ErrSyscallDoesNotExist
	}
	return ScmpSyscall(nr), nil
}

// ScmpCompareOp compares an argument of a system call.
type ScmpCompareOp uint

// The comparisons.
const (
	CompareInvalid ScmpCompareOp = iota
	CompareNotEqual
	CompareLess
	CompareLessOrEqual
	CompareEqual
	CompareGreaterEqual
	CompareGreater
	CompareMaskedEqual
)

// ScmpCondition is a comparison of one argument. For CompareMaskedEqual the
// first operand is the mask.
type ScmpCondition struct {
	Argument uint
	Op       ScmpCompareOp
	Operand1 uint64
	Operand2 uint64
}

// MakeCondition makes a condition on argument arg, counted from 0.
func MakeCondition(arg uint, op ScmpCompareOp, values ...uint64) (ScmpCondition, error) {
	c := ScmpCondition{Argument: arg, Op: op}
	switch {
	case op == CompareInvalid || op > CompareMaskedEqual:
		return c, fmt.Errorf("seccomp: invalid comparison %d", op)
	case arg > 5:
		return c, fmt.Errorf("seccomp: a system call has no argument %d", arg)
	case len(values) == 0 || len(values) > 2:
		return c, errors.New("seccomp: a condition has one or two values")
	}
	c.Operand1 = values[0]
	if len(values) == 2 {
		c.Operand2 = values[1]
	}
	return c, nil
}
