// Parity runs the same command files against Debian's dockerd and against the
// engine, and compares what comes back. README.md explains the files.
//
//	parity [-run REGEX] [-sides LIST] [-self] [-v] [FILE...]
package main
