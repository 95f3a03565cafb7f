// Package test holds the tests of the whole engine: the real binary, real
// containers, the real docker clients. They need root, bin/engine (make build)
// and the build tag system; `make test` runs them.
//
// Every test starts a daemon of its own and destroys it at its end, which fails
// the test when anything of the daemon is left on the machine.
package test
