// Package registry talks to registries: the distribution spec of the OCI and
// what Docker's registries had before it.
//
//	host.go        which hosts stand for a name: mirrors, plain HTTP, certificates
//	transport.go   one request: credentials, redirects, patience
//	auth.go        challenges and tokens
//	errors.go      what a registry says when it refuses
//	manifest.go    manifests and indexes, checked before anybody believes them
//	platform.go    the manifest of an index that is for a platform
//	blob.go        blobs, from the middle if need be
//	upload.go      blobs that go the other way
//	login.go, search.go, tags.go  the rest
//
// A Repository is one caller's view of one repository: his credentials are in it
// and go to the registry's own host and to the token service that it names, over
// no less a connection than was asked for. A redirect to another host gets none.
// Nothing here is logged: neither headers nor URLs with tokens.
//
// Everything that a registry sends is bounded.
package registry
