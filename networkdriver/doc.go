// Package networkdriver is the contract of network drivers: how containers are
// connected to each other and to the world.
//
// The division of labour is that of Docker's remote network drivers, so that a
// driver in another process fits behind the same interface: the driver makes
// what lies outside of a container, the network noun chooses addresses, names the
// interface and configures it inside.
package networkdriver
