// Package jsonfile is docker's json-file log: one JSON object a line, in PATH
// and, rotated, PATH.1, PATH.2.gz and so on, the youngest first.
//
// The writer runs in the supervisor, readers in the daemon: they share nothing
// but the files.
package jsonfile
