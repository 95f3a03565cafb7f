// Package spool keeps the raw output of a container between the supervisor, who
// writes it, and the daemon, who reads it, so that neither bytes nor counts pass
// through a socket.
//
// A container's folder holds a spool file for each stream and one commit page.
// Offsets in a spool file are logical: they only grow, and what is old is punched
// out of the file, so that a bounded window before the newest byte remains. The
// commit page is mapped by both sides; it says how much was written, how much of
// it is in the container's log, and how large the log was then.
//
// This order makes a killed supervisor harmless: bytes come into the spool by
// splice, which takes them out of the FIFO and puts them into the file in one
// step; the log is appended from the spool; then one store switches the commit
// page to the new state. Whoever recovers cuts the log back to the committed size
// and appends again from the committed offset: nothing is lost, nothing doubled.
package spool
