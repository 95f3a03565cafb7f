// Package durable keeps records in files so that what was acknowledged is
// still there, and whole, after a kill or a power cut.
//
// WriteFile and its like go the long way: temporary file, fsync, rename, fsync
// of the folder. Each has a variant that leaves the fsyncs out, for what owes
// nothing to a reboot. A reader sees the old record or the new one, never a
// mixture. What a kill in the middle leaves has a name that Sweep knows and
// removes at the next start.
//
// All of it works on an FS, a small file system. OS is the real one; Failing
// wraps another and fails its N-th call, so that a test can walk through every
// moment at which a disk may be full or a process may die:
//
//	for n := 1; ; n++ {
//		fsys := durable.FailFrom(durable.OS, n, syscall.ENOSPC)
//		err := store.Save(fsys, record)
//		// … open again with durable.OS: the record is the old one or the new one
//		if !fsys.Failed() {
//			break // n is beyond the last call
//		}
//	}
//
// Lock keeps a second process out of a folder.
package durable
