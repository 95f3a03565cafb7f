package request

import (
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/sys/signal"

	"github.com/jobengine/engine/internal/errs"
)

// ParseSignal reads a signal by number or by name, with or without SIG. A
// number may be one that there is not, see CheckSignal. Errors are of the class invalid.
func ParseSignal(text string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(text); err == nil {
		if n <= 0 || n > 1<<16 {
			return 0, errs.Invalid("Invalid signal: %s", text)
		}
		return syscall.Signal(n), nil
	}
	sig, ok := signal.SignalMap[strings.TrimPrefix(strings.ToUpper(text), "SIG")]
	if !ok {
		return 0, errs.Invalid("Invalid signal: %s", text)
	}
	return sig, nil
}

// CheckSignal tells whether Linux has a signal.
func CheckSignal(sig syscall.Signal) error {
	if sig > 64 {
		return errs.Invalid("The linux daemon does not support signal %d", int(sig))
	}
	return nil
}
