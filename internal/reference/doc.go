// Package reference reads and writes names of images: busybox,
// example.com:5000/team/app:1.2, busybox@sha256:….
//
// It takes exactly what github.com/distribution/reference takes, under the same
// identifiers, and a test holds it against that package. It is our own because
// that one compiles its regular expressions when the program starts: 0.6 ms of
// every client command, a sixth of what `engine ps` takes in all.
//
//	name   = [domain "/"] path
//	domain = host [":" port]            host is a DNS name, IPv4 or [IPv6]
//	path   = component {"/" component}  of a-z 0-9, inside it . _ __ or dashes
//	tag    = up to 128 of A-Z a-z 0-9 _ . - , not beginning with . or -
//
// A normalized name always has a domain: docker.io/library/busybox. The
// familiar form leaves out what is understood: busybox.
package reference
