// Package protocol is what daemon and supervisor say to each other: messages of
// versioned JSON in SOCK_SEQPACKET packets, with descriptors beside them.
//
// A request has a Seq and an Op; its answer has the same Seq. A message without
// a Seq is pushed by the supervisor (an exit). A message whose JSON would not
// fit into a packet travels as a memfd, the first of its descriptors.
//
// Every request can be sent again after the connection broke: Create, Start and
// Exec carry an operation id, and the second request with the same id is
// answered as the first one was.
//
// Daemon and supervisor may be of different builds: a supervisor lives as long as
// its containers do. They say hello in the Oldest version and go on in the newest
// that both know. A daemon understands supervisors of its own and of the previous
// Version; what that one can't do it goes without.
package protocol
