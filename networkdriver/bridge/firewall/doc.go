// Package firewall is the nftables table of the bridge driver.
//
// There is one table for all networks, of family inet. Its chains and rules
// never change; what a network or an endpoint needs are elements of named sets and
// maps. So each change is one transaction of a few elements, of whatever size the table is,
// a range of 10,000 ports is one element, and the whole can be made
// again from memory when somebody flushed it.
//
//	set bridges            interfaces of our bridges
//	set within             bridge . bridge: from an interface of ours to the same
//	set apart              the same for bridges whose endpoints do not reach each other
//	set linked4            address . address . protocol . port: nevertheless they do
//	set internal           those of networks without a way out
//	set shut4, shut6       interfaces between which the host did not forward before we switched it on
//	set guarded4, guarded6 subnets that are not reached by routing to them directly
//	set trusted4, trusted6 interface . subnet: what comes by it is not dropped so early
//	set direct4, direct6   interface . address . protocol . port of what is reached by routing to it from there
//	set masq4, masq6       subnets whose way out is masqueraded
//	set hairpin4, hairpin6 bridge . subnet: the way back to the same bridge is masqueraded
//	map ports4, ports6     host address . protocol . port → address . port
//	map ranges4, ranges6   the same for ranges of ports that keep their numbers
//	map relayed4, relayed6 host address . protocol . port → port of the engine's relay
//	set relays             protocol . port of the relay, which is not reached directly
//	set open4, open6       address . protocol . port of what is reached by routing to it
//
// Packets that other programs' rules must let through carry a mark (Mark) when they leave
// our forward chain.
package firewall
