// Package networks is the noun of networks: what containers can be connected to.
//
// A network is a record on disk and, in its driver's hands, something in the
// kernel. A box is the network side of a running container: its endpoints, addresses and
// published ports. Boxes are running state: they lie in the exec root, and a new
// daemon takes over those whose process still lives.
//
// The noun chooses addresses (ipam) and ports (ports), tells the drivers, and
// configures the inside of the container's namespace (sandbox). Verbs on
// networks have a file each; what containers call is in box.go.
package networks
