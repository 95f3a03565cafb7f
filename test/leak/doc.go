// Package leak finds what a test left behind: processes, mounts, namespaces,
// interfaces, firewall rules, cgroups, files.
//
// There are two ways to ask. Owned lists what belongs to one private daemon
// and still exists: exact, also on a machine where others work. Take and
// Compare look at the whole machine before and after: they see what nobody
// thought of, and need a machine that is otherwise quiet.
package leak
