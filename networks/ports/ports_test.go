package ports

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"gotest.tools/v3/assert"
)

var (
	any4  = netip.IPv4Unspecified()
	any6  = netip.IPv6Unspecified()
	local = netip.MustParseAddr("127.0.0.1")
)

func quiet() *Table {
	t := NewTable()
	t.list = func(map[string]bool) ([]socket, error) { return nil, nil }
	t.has = func(netip.Addr) error { return nil }
	t.low, t.high = 40000, 40003
	return t
}

func one(ip netip.Addr, first, last uint16) []Want {
	return []Want{{Proto: "tcp", HostIP: ip, First: first, Last: last, ContainerPort: 80}}
}

func TestAPortIsGivenOnceForAnAddress(t *testing.T) {
	table := quiet()
	got, err := table.Reserve("a", one(any4, 8080, 8080))
	assert.NilError(t, err)
	_, err = table.Reserve("b", one(local, 8080, 8080))
	assert.Error(t, err, "Bind for 127.0.0.1:8080 failed: port is already allocated")
	_, err = table.Reserve("b", one(any6, 8080, 8080))
	assert.NilError(t, err)
	_, err = table.Reserve("b", []Want{{Proto: "udp", HostIP: any4, First: 8080, Last: 8080, ContainerPort: 80}})
	assert.NilError(t, err)
	table.Free("a", got)
	_, err = table.Reserve("c", one(local, 8080, 8080))
	assert.NilError(t, err)
	_, err = table.Reserve("d", one(netip.MustParseAddr("10.0.0.1"), 8080, 8080))
	assert.NilError(t, err, "another address of the host")
}

func TestOneContainerMayHaveAPortOfAllAddressesAndAnotherOfOne(t *testing.T) {
	table := quiet()
	got, err := table.Reserve("a", append(one(any4, 0, 0), one(local, 0, 0)...))
	assert.NilError(t, err)
	assert.Check(t, got[0].HostPort != got[1].HostPort, "127.0.0.1 is one of all addresses")
	_, err = table.Reserve("b", append(one(any4, 8080, 8080), one(local, 8080, 8080)...))
	assert.Error(t, err, "Bind for 127.0.0.1:8080 failed: port is already allocated")
}

func TestAllOrNothingIsTaken(t *testing.T) {
	table := quiet()
	_, err := table.Reserve("a", one(any4, 81, 81))
	assert.NilError(t, err)
	_, err = table.Reserve("b", append(one(any4, 80, 80), one(any4, 81, 81)...))
	assert.Error(t, err, "Bind for 0.0.0.0:81 failed: port is already allocated")
	_, err = table.Reserve("c", one(any4, 80, 80))
	assert.NilError(t, err)
}

func TestOpenPortsAreEphemeralOnesAndTheSameForBothFamilies(t *testing.T) {
	table := quiet()
	both := append(one(any4, 0, 0), one(any6, 0, 0)...)
	seen := map[uint16]bool{}
	for i := range 4 {
		got, err := table.Reserve(fmt.Sprint(i), both)
		assert.NilError(t, err)
		assert.Equal(t, got[0].HostPort, got[1].HostPort)
		assert.Check(t, !seen[got[0].HostPort] && got[0].HostPort >= 40000 && got[0].HostPort <= 40003)
		seen[got[0].HostPort] = true
	}
	_, err := table.Reserve("x", both)
	assert.Error(t, err, "all ports are allocated")
}

func TestARangeGivesItsFirstFreePort(t *testing.T) {
	table := quiet()
	for want := uint16(8000); want <= 8002; want++ {
		got, err := table.Reserve("a", one(any4, 8000, 8002))
		assert.NilError(t, err)
		assert.Equal(t, got[0].HostPort, want)
	}
	_, err := table.Reserve("a", one(any4, 8000, 8002))
	assert.Error(t, err, "all ports are allocated")
}

func TestWhatListensOnTheHostIsSeen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	defer l.Close()
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	assert.NilError(t, err)
	defer u.Close()
	tcp, udp := uint16(l.Addr().(*net.TCPAddr).Port), uint16(u.LocalAddr().(*net.UDPAddr).Port)
	table := NewTable()
	_, err = table.Reserve("a", one(any4, tcp, tcp))
	assert.Error(t, err, fmt.Sprintf("failed to bind host port 0.0.0.0:%d/tcp: address already in use", tcp))
	_, err = table.Reserve("a", []Want{{Proto: "udp", HostIP: local, First: udp, Last: udp, ContainerPort: 53}})
	assert.Error(t, err, fmt.Sprintf("failed to bind host port 127.0.0.1:%d/udp: address already in use", udp))
	_, err = table.Reserve("a", one(netip.MustParseAddr("127.0.0.2"), tcp, tcp))
	assert.NilError(t, err)
}

func TestTenThousandPorts(t *testing.T) {
	table := quiet()
	var wanted []Want
	for p := uint16(20000); p < 30000; p++ {
		wanted = append(wanted, Want{Proto: "tcp", HostIP: any4, First: p, Last: p, ContainerPort: p})
	}
	got, err := table.Reserve("a", wanted)
	assert.NilError(t, err)
	assert.Equal(t, len(got), 10000)
	table.Free("a", got)
	assert.Equal(t, len(table.taken), 0)
}

func TestPortSpecifications(t *testing.T) {
	for text, want := range map[string][2]uint16{"": {0, 0}, "80": {80, 80}, "80-90": {80, 90}, "65535": {65535, 65535}} {
		first, last, err := ParseRange(text)
		assert.NilError(t, err)
		assert.Equal(t, [2]uint16{first, last}, want)
	}
	for _, bad := range []string{"65536", "90-80", "-1", "a", "80-", "1-2-3", " 80"} {
		_, _, err := ParseRange(bad)
		assert.Check(t, err != nil, bad)
	}
}

func TestAnAddressThatTheHostHasNotPublishesNothing(t *testing.T) {
	_, err := NewTable().Reserve("a", one(netip.MustParseAddr("192.0.2.77"), 8080, 8080))
	assert.Error(t, err, "failed to bind host port 192.0.2.77:8080/tcp: cannot assign requested address")
	_, err = NewTable().Reserve("a", one(local, 0, 0))
	assert.NilError(t, err)
}

func TestAListenerOfBothFamiliesHasThePortOfBoth(t *testing.T) {
	for kind, taken := range map[string]bool{"tcp": true, "tcp6": false} {
		l, err := net.Listen(kind, "[::]:0")
		assert.NilError(t, err)
		defer l.Close()
		port := uint16(l.Addr().(*net.TCPAddr).Port)
		_, err = NewTable().Reserve("a", one(local, port, port))
		assert.Equal(t, err != nil, taken, "%s: %v", kind, err)
	}
}
