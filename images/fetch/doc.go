// Package fetch downloads blobs into files: several at a time, each once however
// many want it, resumed where it broke off, verified while it comes.
//
// A blob's file is DIR/HEX, named by its digest. It can be read while it grows:
// a reader waits for more, and sees the end only when size and digest are right.
// So layers are unpacked while they still arrive.
//
// The file stays until everybody who wanted the blob has released it. Who gives
// up on the way (a client that went away) says keep: the next download goes on
// from there, also in another process. So does one that finds files of a killed
// process; their content is hashed again, and if the whole turns out wrong, the
// download begins anew, once. Kept files that nobody comes back for are removed
// after KeepFor.
//
// What fetch knows of a registry is a function that opens a blob at an offset.
package fetch
