// Package record is how a container lies on disk: types of our own, so that a
// new version of the API's types can neither lose nor change what is stored.
//
// The fields have the names of the API's JSON, so that one converts into the
// other through JSON; a test compares the two field by field.
package record
