// Package engineinit holds the first process of containers that are started
// with --init: src/init.c, a program of a few kilobytes without a C library.
// `make build` compiles it with build.sh and package builtins embeds it; here
// are its tests. Why it is not Go and not tini is told in docs/adr/0015-own-init.md.
package engineinit
