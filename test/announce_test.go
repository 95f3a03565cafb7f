//go:build system

package test

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

// routerAdvertisement says: I am a router, for half an hour, and this is the prefix 2001:db8:bad::/64
// for addresses that you make yourselves.
var routerAdvertisement = append([]byte{134, 0, 0, 0, 64, 0, 1800 >> 8, 1800 & 0xff, 0, 0, 0, 0, 0, 0, 0, 0,
	3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0, 0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad}, make([]byte, 10)...)

func TestRouterAdvertisementsOfContainersAreIgnored(t *testing.T) {
	e := startRouted(t, "--ipv6")
	for _, name := range []string{"evil", "peer", "naive"} {
		e.sleeper(name)
	}
	// One that would believe it, to see that it is heard.
	naive, evil := e.inside("naive"), e.inside("evil")
	naive.sh("echo 2 >/proc/sys/net/ipv6/conf/eth0/accept_ra; echo 1 >/proc/sys/net/ipv6/conf/eth0/autoconf")
	routes := func(p place) string {
		return p.sh("ip -6 route | grep -v ^fe80 || true; ip -6 -o addr show scope global | cut -d ' ' -f 1-8")
	}
	host, peer := routes(e.host()), routes(e.inside("peer"))
	var from string
	eventually(t, "an address of its link", func() bool {
		for _, word := range strings.Fields(evil.sh("ip -6 -o addr show dev eth0 scope link -tentative")) {
			if strings.HasPrefix(word, "fe80::") {
				from, _, _ = strings.Cut(word, "/")
			}
		}
		return from != ""
	})
	eventually(t, "the advertisement is believed by who believes such", func() bool {
		assert.NilError(t, evil.do(func() error {
			c, err := net.ListenPacket("ip6:ipv6-icmp", from+"%eth0")
			if err != nil {
				return err
			}
			defer c.Close()
			raw, err := c.(*net.IPConn).SyscallConn()
			if err != nil {
				return err
			}
			if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_MULTICAST_HOPS, 255) }); e != nil || err != nil {
				return err
			}
			_, err = c.WriteTo(routerAdvertisement, &net.IPAddr{IP: net.ParseIP("ff02::1"), Zone: "eth0"})
			return err
		}))
		return strings.Contains(routes(naive), "2001:db8:bad:")
	})
	assert.Equal(t, routes(e.host()), host)
	assert.Equal(t, routes(e.inside("peer")), peer)
}
