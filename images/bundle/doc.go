// Package bundle reads the archives that images travel in: docker-archive
// (manifest.json, with or without compressed layers), OCI layout (index.json,
// nested indexes), and the repositories files of old.
//
// Nothing in an archive is believed: names stay inside it, links lead only to
// other members, digests are compared, documents are bounded and must not be
// ambiguous. The members are spooled as numbered files into a folder of the
// caller's, so that no name of the archive ever becomes a path.
package bundle
