// Package networks is the noun of networks: what containers can be connected to.
//
// Today these are the two that every engine has: "none", with a loopback
// interface only, and "host", the host's own network namespace. Bridges,
// user-defined networks and published ports come with the network drivers.
package networks
