// Package images is the noun image: bringing images in, naming, listing and
// removing them, and lending them to containers.
//
// install.go lists the verbs. images/store keeps images on disk, images/bundle
// reads the archives they travel in, images/change reads the Dockerfile lines of
// an import.
//
// An image's id is the SHA-256 of its config, as in Docker's classic image store.
package images
