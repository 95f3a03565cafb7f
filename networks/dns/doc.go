// Package dns is the resolver that containers have at 127.0.0.11 on networks of users.
//
// A Zone holds the names of one network. A View is what one container may ask: the zones
// of the networks that it is on, its links, and where everything else is asked. A Server has the
// two sockets in the namespace of a container; rules.go leads port 53 of 127.0.0.11 to them.
// A Forwarder, one for all containers, bounds what is on its way to other resolvers.
//
// What is asked of it comes from containers and what it is answered from the network, so both are
// read by message.go alone, which takes nothing apart that it does not need: the header, the
// one question, and the size that EDNS names. Answers of other resolvers are passed on as they are.
package dns
