// Package seccomp has the part of libseccomp-golang's API that libcontainer
// uses, and does one thing differently: a filter is only written down while it
// is put together, and if it is one that this package carries in compiled form
// (folder compiled), libseccomp is not asked to compile it again.
//
// Compiling the default profile takes 7 to 11 ms of processor time, in every
// start of a container and in every exec. That is a third of what a start costs.
//
// Our go.mod puts this module in the place of
// github.com/seccomp/libseccomp-golang. A program of a third party that imports
// ours gets the original, and with it the slower but equal path.
//
// The key of a compiled filter is a hash over everything that went into it:
// actions, architectures, flags, and each rule with its conditions, by number.
// A newer libseccomp that knows more system calls, another profile, or another
// set of capabilities give another key; a key that is not there is compiled.
// builtins/precompiled_test.go makes the files (-update) and holds each of them to what
// libseccomp gives.
package seccomp
