// Package execdriver is the contract between the supervisor and what runs
// containers: an OCI bundle goes in, a waiting process comes out.
//
// The drivers live in the folders below: native (libcontainer) and fake (a plain
// child process for tests). exectest is the suite that each of them passes, and
// that a third party's driver can run in three lines.
package execdriver
