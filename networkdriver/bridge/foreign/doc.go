// Package foreign gets the packets of our networks past the filters of other programs.
//
// A packet that our own chain lets through can still be dropped by another chain of the same
// hook: dockerd, ufw and administrators give FORWARD the policy DROP, firewalld ends its chain with
// a reject. Ours carry a mark, so one rule is enough in each chain of this kind: accept what has
// the mark. It is added where a chain drops everything that nobody accepted, before that
// point and after the rules that drop something in particular; it is taken out again when no network is left.
//
// Chains of nftables, and so of iptables-nft too, are read and changed over
// netlink. The old tables of iptables-legacy are read by getsockopt, and changed by running the
// program, as their kernel interface replaces a table as a whole.
package foreign
