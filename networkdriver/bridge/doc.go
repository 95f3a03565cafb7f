// Package bridge is the network driver that everybody means: a bridge of the
// kernel for each network, a pair of virtual interfaces for each endpoint, and one table
// of nftables for everything (package firewall).
//
// It speaks rtnetlink and nftables over netlink; no command is run. A pair is made with
// one end in the sandbox already, under its final name.
//
// Ports published on 127.0.0.1 work by NAT: route_localnet is set on our bridges,
// and what containers send to 127.0.0.0/8 is dropped before anything else.
package bridge
