// Package containers is the noun: container records, their life, and the verbs
// on them. install.go is its table of contents; each verb has a file of its
// own, named after it.
//
// What stands alone is in packages of its own: what may be asked for (request),
// the OCI spec of it (spec), records on disk (record), what runs processes
// (runtime), output on its way to clients (streams), and execs.
//
// # A container's life
//
//	created ─ start → running ─ exits → exited ─ start → running …
//	                  running ─ pause → paused ─ unpause → running
//	any of them ─ rm → removing → gone
//
// A Container holds an immutable Snapshot behind an atomic pointer: lists and
// inspections read that and never wait. Changes go through Container.update,
// which replaces the snapshot under a short lock and wakes whoever waits for a
// change. Operations that take time (start, pause, rename, removal, handling of an
// exit) take turns by Container.lock, which is never needed for reading.
//
// A container whose restart policy wants it back is restarting between its end
// and the next start (policy.go): it says that it runs, and has no process.
//
// # On disk
//
//	ROOT/containers/ID/container.json   the record: identity, configuration, policy, last exit (package record)
//	ROOT/containers/ID/exit.json        written by the supervisor when the container ends
//	ROOT/containers/ID/ID-json.log      the output
//	ROOT/containers/ID/{hosts,hostname,resolv.conf}
//	EXECROOT/containers/ID/bundle/      the OCI bundle of the run, gone after a reboot
//
// A record is durable before create answers, except that of a container with
// AutoRemove: nobody owes it a life after a reboot. A folder without a record is
// what a create or a removal that was cut off has left, and goes at the next boot.
//
// # What is decided here for now
//
// There are no volumes yet. Host folders can be bound (-v /host:/container);
// named and anonymous volumes that a user asks for are refused. A VOLUME of the
// image is a folder of the container's own below ROOT/containers/ID/volumes,
// filled with what the image has there and removed with the container, also by
// an rm without -v, where docker keeps it.
// There is no bridge yet: the networks are none and host, and the default is none.
package containers
