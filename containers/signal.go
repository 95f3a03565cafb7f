package containers

import (
	"syscall"

	"github.com/jobengine/engine/containers/request"
)

// stopSignal is what asks a container to end.
func stopSignal(s *Snapshot) syscall.Signal {
	if sig, err := request.ParseSignal(s.Config.StopSignal); err == nil && request.CheckSignal(sig) == nil {
		return sig
	}
	return syscall.SIGTERM
}
