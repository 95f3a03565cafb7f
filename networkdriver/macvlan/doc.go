// Package macvlan is the network driver that gives containers a place on the wire of the host: each
// endpoint is an interface of its own, with its own MAC, on top of a parent interface of the host.
//
// The parent is the administrator's, or a VLAN of one (eth0.10), which the driver makes and removes
// if it is not there. Without a parent, and for internal networks, it is an interface that leads nowhere,
// made for the network: its containers reach each other only.
//
// The host itself is not reached by this way, and does not reach the containers: so it is with the
// kernel's macvlan. No rule of a firewall is needed, and no port is published.
package macvlan
