// Package tarsplit keeps what a tar has beside the contents of its files, so
// that the tar can be written again, byte by byte, from the tree that it was
// unpacked to.
//
// Split reads a tar and writes its index: headers, padding and all that follows
// the end mark as they are, and for each file with content its name and size.
// Join reads an index and the tree and writes the tar. An index holds no digest:
// whoever joins compares the tar with the one that it knows.
//
// Not every tar can be had again from its tree: of two files of one name only
// the later one is left, and a file with holes does not tell how its archive
// described them. Split finds out and says so; such a tar is to be kept whole.
//
// An index is a magic line and a zstd stream of records, each a byte for its
// kind and unsigned varints:
//
//	1 length, bytes          as they are in the tar
//	2 count                  so many zeros
//	3 size, length, name     the content of a file, by its name from the root
//	0 size                   the end, and how many bytes the tar has
//
// Both directions need a few buffers of memory, whatever the tar: names are kept
// as 64-bit hashes, of which a false match costs no more than a tar kept whole.
package tarsplit
