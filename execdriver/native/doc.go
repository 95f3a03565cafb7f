// Package native runs containers in this very process's hands: the OCI spec goes
// through specconv into libcontainer, the library below runc, without any
// runtime binary. It is the only package that imports runc.
//
// It keeps libcontainer's state below Options.StateDir, and beside it one small
// record for each container (record.go), so that signals, the OOM question and
// the end of a container need not parse libcontainer's whole state again.
//
// A program that links this package takes libcontainer's `init` role when it is
// executed as `NAME init` with libcontainer's pipe in its environment (reexec.go).
package native
