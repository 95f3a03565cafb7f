// Package harness runs the real engine for tests: a private daemon with roots,
// socket and cgroup parent of its own, command lines against it, terminals,
// bare HTTP, and archives made entry by entry.
//
// Nothing in it needs package testing, so that the parity runner, the
// benchmarks and the leak check use it too.
package harness
