// Package table prints lists and objects the way docker's --format wants them:
// aligned columns with headings, Go templates, JSON lines.
//
// A row is a pointer to a struct whose methods without arguments are the
// fields that a template may use.
package table
