//go:build sealed

package builtins

import _ "embed"

// sealedSupervisor is the small program cmd/engine-supervisor; `make build`
// builds it first.
//
//go:embed sealed/engine-supervisor
var sealedSupervisor []byte

// sealedInit is the init of containers, cmd/engine-init.
//
//go:embed sealed/engine-init
var sealedInit []byte
