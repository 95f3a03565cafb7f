package seccomp

/*
#include <seccomp.h>

static uint32_t action_errno(uint16_t code) { return SCMP_ACT_ERRNO(code); }
static uint32_t action_trace(uint16_t code) { return SCMP_ACT_TRACE(code); }
*/
import "C"

import "fmt"

// ScmpAction is what happens to a system call; errno and trace have a code in
// the upper half.
type ScmpAction uint32

// The actions.
const (
	ActInvalid ScmpAction = iota
	ActKillThread
	ActTrap
	ActNotify
	ActErrno
	ActTrace
	ActAllow
	ActLog
	ActKillProcess
	ActKill = ActKillThread
)

// SetReturnCode gives an errno or trace action its code.
func (a ScmpAction) SetReturnCode(code int16) ScmpAction {
	if kind := a & 0xffff; kind == ActErrno || kind == ActTrace {
		return kind | ScmpAction(uint16(code))<<16
	}
	return a
}

// GetReturnCode is the code of an errno or trace action.
func (a ScmpAction) GetReturnCode() int16 { return int16(a >> 16) }

func (a ScmpAction) native() (C.uint32_t, error) {
	code := C.uint16_t(a >> 16)
	switch a & 0xffff {
	case ActKillThread:
		return C.SCMP_ACT_KILL_THREAD, nil
	case ActKillProcess:
		return C.SCMP_ACT_KILL_PROCESS, nil
	case ActTrap:
		return C.SCMP_ACT_TRAP, nil
	case ActNotify:
		return C.SCMP_ACT_NOTIFY, nil
	case ActErrno:
		return C.action_errno(code), nil
	case ActTrace:
		return C.action_trace(code), nil
	case ActAllow:
		return C.SCMP_ACT_ALLOW, nil
	case ActLog:
		return C.SCMP_ACT_LOG, nil
	}
	return 0, fmt.Errorf("seccomp: invalid action %d", a)
}
