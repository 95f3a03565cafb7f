//go:build system

package test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

func (e *engine) lines(args ...string) []string {
	e.t.Helper()
	list := strings.Split(e.must(args...), "\n")
	slices.Sort(list)
	return list
}

func TestEveryFormOfAPort(t *testing.T) {
	// The kernel's range of ephemeral ports is what open ports are taken from.
	e := startWith(t, harness.Options{DefaultBridge: true, Wrap: []string{"unshare", "-n", "sh", "-c",
		`ip link set lo up && echo "41000 41003" >/proc/sys/net/ipv4/ip_local_port_range && exec "$0" "$@"`}})
	e.load()
	for _, c := range []struct {
		flags string
		want  []string // of engine port
	}{
		{"-p 8080:80", []string{"80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"}},
		{"-p 127.0.0.1:8080:80", []string{"80/tcp -> 127.0.0.1:8080"}},
		{"-p [::1]:8080:80", []string{"80/tcp -> [::1]:8080"}},
		{"-p 8080:53/udp -p 8080:53/tcp", []string{"53/tcp -> 0.0.0.0:8080", "53/tcp -> [::]:8080", "53/udp -> 0.0.0.0:8080", "53/udp -> [::]:8080"}},
		{"-p 127.0.0.1:8000-8002:9000-9002", []string{"9000/tcp -> 127.0.0.1:8000", "9001/tcp -> 127.0.0.1:8001", "9002/tcp -> 127.0.0.1:8002"}},
		{"-p 127.0.0.1:8000-8002:80", []string{"80/tcp -> 127.0.0.1:8000"}},
		{"-p 127.0.0.1:8000:80 -p 127.0.0.1:8001:80", []string{"80/tcp -> 127.0.0.1:8000", "80/tcp -> 127.0.0.1:8001"}},
		{"-p 127.0.0.1::80", []string{"80/tcp -> 127.0.0.1:4100?"}},
		{"-p 80 -p 127.0.0.1::80", []string{"80/tcp -> 0.0.0.0:4100?", "80/tcp -> 127.0.0.1:4100?", "80/tcp -> [::]:4100?"}},
		{"-p 80", []string{"80/tcp -> 0.0.0.0:4100?", "80/tcp -> [::]:4100?"}},
		{"-p 80-81/udp", []string{"80/udp -> 0.0.0.0:4100?", "80/udp -> [::]:4100?", "81/udp -> 0.0.0.0:4100?", "81/udp -> [::]:4100?"}},
		{"-P --expose 80 --expose 90/udp", []string{"80/tcp -> 0.0.0.0:4100?", "80/tcp -> [::]:4100?", "90/udp -> 0.0.0.0:4100?", "90/udp -> [::]:4100?"}},
		{"--expose 80", []string{""}},
		{"-p 0.0.0.0:8080:80", []string{"80/tcp -> 0.0.0.0:8080"}},
	} {
		e.must(append(append([]string{"run", "-d", "--name", "web"}, strings.Fields(c.flags)...), "busybox", "sleep", "100000")...)
		got := e.lines("port", "web")
		for i, line := range got {
			if _, port, ok := strings.Cut(line, ":4100"); ok && len(port) == 1 {
				got[i] = line[:len(line)-1] + "?"
			}
		}
		assert.DeepEqual(t, got, c.want)
		e.must("rm", "-f", "web")
	}

	// A port that is asked for by name.
	e.must("run", "-d", "--name", "web", "-p", "8080:80", "-p", "8053:53/udp", "busybox", "sleep", "100000")
	for _, ask := range []string{"80", "80/tcp"} {
		assert.DeepEqual(t, e.lines("port", "web", ask), []string{"0.0.0.0:8080", "[::]:8080"})
	}
	assert.DeepEqual(t, e.lines("port", "web", "53/udp"), []string{"0.0.0.0:8053", "[::]:8053"})
	for ask, want := range map[string]string{"81": "No public port '81", "53": "No public port '53", "80/udp": "No public port '80/udp"} {
		r := e.any("port", "web", ask)
		assert.Check(t, r.Code == 1 && strings.Contains(strings.ToLower(r.Stderr), strings.ToLower(want)), r.Stderr)
	}

	// A range of the host for one port takes the next free one.
	e.must("run", "-d", "--name", "two", "-p", "8080-8081:80", "busybox", "sleep", "100000")
	assert.DeepEqual(t, e.lines("port", "two"), []string{"80/tcp -> 0.0.0.0:8081", "80/tcp -> [::]:8081"})
	before := e.host().sh("ip -o link; nft list table inet " + e.table())
	for flags, want := range map[string]string{
		"-p 8080-8081:80":       "all ports are allocated",
		"-p 8053:53/udp":        "Bind for 0.0.0.0:8053 failed: port is already allocated",
		"-p [::1]:8080:80":      "Bind for [::1]:8080 failed: port is already allocated",
		"-p 8080:80/sctp":       "port 80/sctp can not be published: this version publishes tcp and udp",
		"-p 70000:80":           "70000",
		"-p 8090-8080:80":       "8090-8080",
		"-p 8090-8092:80-81":    "8090-8092",
		"-p 1.2.3:80:80":        "1.2.3",
		"-p 8090:80/quic":       "quic",
		"-p 80 -p 81 -p 82-90":  "all ports are allocated",
		"-p 127.0.0.1:8080:900": "Bind for 127.0.0.1:8080 failed: port is already allocated",
	} {
		r := e.any(append(append([]string{"run", "--rm"}, strings.Fields(flags)...), "busybox", "true")...)
		assert.Check(t, r.Code == 125 && strings.Contains(r.Stderr, want), "%s: %d %s", flags, r.Code, r.Stderr)
	}
	assert.Equal(t, e.host().sh("ip -o link; nft list table inet "+e.table()), before, "nothing is left of what failed")
	e.must("rm", "-f", "two")
	e.must("run", "--rm", "-p", "8081:80", "busybox", "true")
}

func TestUDPFlowsFollowThePortToItsNextContainer(t *testing.T) {
	e := startRouted(t)
	lan := e.neighbourPlace()
	// One client that never stops, from one port.
	var client net.Conn
	assert.NilError(t, lan.do(func() (err error) {
		client, err = net.DialUDP("udp", &net.UDPAddr{Port: 5555}, &net.UDPAddr{IP: net.ParseIP("10.213.0.1"), Port: 8053})
		return err
	}))
	defer client.Close()
	answered := func(want string) {
		t.Helper()
		buf := make([]byte, 100)
		eventually(t, "the answer of "+want, func() bool {
			client.Write([]byte("who am I?"))
			client.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			n, err := client.Read(buf)
			return err == nil && string(buf[:n]) == want+" 10.213.0.2"
		})
	}
	client.Write([]byte("before anybody is there")) // the kernel remembers that too
	for _, name := range []string{"one", "two", "three"} {
		e.sleeper(name, "-p", "8053:53/udp")
		e.inside(name).serve("udp", ":53", name)
		answered(name)
		e.must("rm", "-f", name)
		client.Write([]byte("while nobody is there"))
	}
}

func TestConnectionsOutliveTheDaemon(t *testing.T) {
	e := startRouted(t, "--ipv6")
	lan := e.neighbourPlace()
	e.sleeper("web", "-p", "8080:80")
	in := e.inside("web")
	var l net.Listener
	assert.NilError(t, in.do(func() (err error) { l, err = net.Listen("tcp", ":80"); return err }))
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				for lines := bufio.NewScanner(c); lines.Scan(); {
					fmt.Fprintln(c, "you said", lines.Text())
				}
			}()
		}
	}()
	talk := map[string]net.Conn{}
	for name, at := range map[string]struct {
		place
		address string
	}{"outside": {lan, "10.213.0.1:8080"}, "outside, IPv6": {lan, "[fd13::1]:8080"}, "the host's address": {e.host(), "10.213.0.1:8080"}, "loopback": {e.host(), "127.0.0.1:8080"}} {
		assert.NilError(t, at.do(func() error {
			c, err := net.DialTimeout("tcp", at.address, 20*time.Second)
			talk[name] = c
			return err
		}))
		defer talk[name].Close()
	}
	holds := func(word string) {
		t.Helper()
		for name, c := range talk {
			fmt.Fprintln(c, word)
			c.SetReadDeadline(time.Now().Add(30 * time.Second))
			answer, err := bufio.NewReader(c).ReadString('\n')
			assert.NilError(t, err, name)
			assert.Equal(t, answer, "you said "+word+"\n")
		}
	}
	holds("hello")
	// What comes from ::1 goes through the daemon: it ends with it, at once, and works again with the next one.
	relayed := func() (c net.Conn) {
		t.Helper()
		eventually(t, "a connection by ::1", func() bool {
			var err error
			assert.NilError(t, e.host().do(func() error { c, err = net.Dial("tcp", "[::1]:8080"); return nil }))
			return err == nil
		})
		t.Cleanup(func() { c.Close() })
		fmt.Fprintln(c, "hello")
		c.SetReadDeadline(time.Now().Add(30 * time.Second))
		answer, err := bufio.NewReader(c).ReadString('\n')
		assert.NilError(t, err)
		assert.Equal(t, answer, "you said hello\n")
		return c
	}
	ns := newHolder(t, e.host())
	for _, end := range []func(){e.Kill, func() { assert.NilError(t, e.Stop()) }} {
		c := relayed()
		end()
		holds("without a daemon")
		_, err := c.Read(make([]byte, 1))
		assert.Check(t, err != nil && !errors.Is(err, os.ErrDeadlineExceeded), "it hangs: %v", err)
		e.Rewrap("nsenter", "--net="+ns)
		assert.NilError(t, e.Start())
		holds("with another one")
		relayed()
	}
}

func TestARemappedContainerIsOnTheBridge(t *testing.T) {
	dir, wrap := privateEtc(t, "")
	e := loaded(t, harness.Options{
		Dir: dir, DefaultBridge: true, Flags: []string{"--userns-remap=default", "--ipv6"},
		Wrap: append(wrap, "unshare", "-n", "sh", "-c", `ip link set lo up && exec "$0" "$@"`),
	})
	lan := e.neighbourPlace()
	lan.serve("tcp", ":80", "lan")
	e.must("network", "create", "mine")
	e.sleeper("web", "-p", "8080:80")
	assert.Check(t, e.must("exec", "web", "cat", "/proc/self/uid_map") != "")
	e.inside("web").serve("tcp", ":80", "web")
	lan.gets("tcp", "10.213.0.1:8080", "web 10.213.0.2")
	lan.gets("tcp", "[fd13::1]:8080", "web fd13::2")
	e.inside("web").gets("tcp", "10.213.0.2:80", "lan 10.213.0.1")
	e.must("network", "connect", "mine", "web")
	own := e.addressOf("web", "mine")
	e.sleeper("peer", "--network", "mine")
	e.inside("peer").gets("tcp", own+":80", "web "+e.addressOf("peer", "mine"))
	// Its own network is its own to change, and the host's settings are not.
	assert.Equal(t, e.any("exec", "web", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward").Code != 0, true)
	assert.Equal(t, e.any("exec", "web", "ip", "link", "set", "eth0", "down").Code != 0, true, "without NET_ADMIN")
}

func TestPublishedPortsInPs(t *testing.T) {
	e := startRouted(t)
	e.must("run", "-d", "--name", "web", "-p", "8080:80", "-p", "127.0.0.1:9000-9002:9000-9002", "--expose", "99", "busybox", "sleep", "100000")
	assert.Equal(t, e.must("ps", "--format", "{{.Ports}}"), "99/tcp, 127.0.0.1:9000-9002->9000-9002/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp")
	var list []struct {
		Ports []struct {
			IP, Type                string
			PrivatePort, PublicPort int
		}
	}
	code, text, _, err := e.Do("GET", "/containers/json", nil)
	assert.NilError(t, err)
	assert.Equal(t, code, 200)
	assert.NilError(t, json.Unmarshal([]byte(text), &list))
	var rows []string
	for _, p := range list[0].Ports {
		rows = append(rows, p.IP+" "+strconv.Itoa(p.PublicPort)+" "+strconv.Itoa(p.PrivatePort)+" "+p.Type)
	}
	slices.Sort(rows)
	assert.DeepEqual(t, rows, []string{" 0 99 tcp", "0.0.0.0 8080 80 tcp", "127.0.0.1 9000 9000 tcp", "127.0.0.1 9001 9001 tcp", "127.0.0.1 9002 9002 tcp", ":: 8080 80 tcp"})
}
