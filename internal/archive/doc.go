// Package archive turns tars into trees and trees into tars, for layers, imports
// and copies: always as a stream, and without trust in what the tar says.
//
// Unpack resolves the folder of every entry by descriptor inside its root, never
// by comparing names, so links that the tar made, or that were there before, do
// not lead out of it. What is written is created anew (O_EXCL, O_NOFOLLOW), after
// what was in its place has been removed.
//
// Compressed streams are unpacked in this process: no program is ever run.
package archive
