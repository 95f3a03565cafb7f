package dns

import (
	"errors"
	"net"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/miekg/dns"
	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/sandbox"
)

// namespace gives the file of a network namespace with loopback, which ends with the test.
func namespace(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	made, done := make(chan error, 1), make(chan bool)
	var path string
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			path = "/proc/self/task/" + strconv.Itoa(unix.Gettid()) + "/ns/net"
			var lo netlink.Link
			if lo, err = netlink.LinkByName("lo"); err == nil {
				err = netlink.LinkSetUp(lo)
			}
		}
		made <- err
		<-done
	}()
	assert.NilError(t, <-made)
	t.Cleanup(func() { close(done) })
	return path
}

// lookup asks in a namespace.
func lookup(t *testing.T, ns, network, name string) string {
	t.Helper()
	c := dns.Client{Net: network, Timeout: time.Minute}
	var conn *dns.Conn
	assert.NilError(t, sandbox.Do(ns, func() (err error) { conn, err = c.Dial("127.0.0.11:53"); return err }))
	defer conn.Close()
	r, _, err := c.ExchangeWithConn(new(dns.Msg).SetQuestion(name, dns.TypeA), conn)
	assert.NilError(t, err)
	if len(r.Answer) == 0 {
		return dns.RcodeToString[r.Rcode]
	}
	return r.Answer[0].(*dns.A).A.String()
}

func TestAServerAnswersInANamespaceUntilItIsClosed(t *testing.T) {
	ns := namespace(t)
	log, said := test.NewNullLogger()
	for what, lead := range map[string]func(udp, tcp uint16) error{
		"with rules": leadHere, "on a kernel that can not rewrite": func(uint16, uint16) error { return errors.New("not here") },
	} {
		said.Reset()
		s, err := serve(ns, NewForwarder(nil, "/nonexistent"), testView(), log, lead)
		assert.NilError(t, err, what)
		for _, network := range []string{"udp", "tcp"} {
			assert.Equal(t, lookup(t, ns, network, "web."), "10.1.0.2", what)
			assert.Equal(t, lookup(t, ns, network, "elsewhere.example."), "SERVFAIL", what)
		}
		s.Set(&View{})
		assert.Equal(t, lookup(t, ns, "udp", "web."), "SERVFAIL", what)
		warned := len(said.AllEntries()) == 1 && said.LastEntry().Level == logrus.WarnLevel
		assert.Check(t, warned == (what != "with rules"), what)
		s.Close()
		err = sandbox.Do(ns, func() error {
			c, err := net.ListenPacket("udp", "127.0.0.11:53")
			if err == nil {
				err = c.Close()
			}
			return err
		})
		assert.NilError(t, err, what)
		assert.NilError(t, sandbox.Do(ns, removeRules))
	}
}

func removeRules() error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	conn.AddTable(&nftables.Table{Name: table, Family: nftables.TableFamilyIPv4})
	conn.DelTable(&nftables.Table{Name: table, Family: nftables.TableFamilyIPv4})
	return conn.Flush()
}

func TestWhereThereIsNoNamespaceThereIsNoServer(t *testing.T) {
	log, _ := test.NewNullLogger()
	_, err := Serve("/proc/self/ns/nothing", NewForwarder(nil, ""), &View{}, log)
	assert.Check(t, os.IsNotExist(err), "%v", err)
}

func TestWhatLeavesTheContainerPassesOneRuleOnly(t *testing.T) {
	ns := namespace(t)
	assert.NilError(t, sandbox.Do(ns, func() error {
		if err := leadHere(5301, 5302); err != nil {
			return err
		}
		out := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "out"}}
		if err := netlink.LinkAdd(out); err != nil {
			return err
		}
		addr, err := netlink.ParseAddr("10.9.0.1/24")
		if err == nil {
			err = netlink.AddrAdd(out, addr)
		}
		if err == nil {
			err = netlink.LinkSetUp(out)
		}
		if err != nil {
			return err
		}
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		// What comes to the end of the chain is counted.
		in := &nftables.Table{Name: table, Family: nftables.TableFamilyIPv4}
		chain := &nftables.Chain{Table: in, Name: "output"}
		conn.AddRule(&nftables.Rule{Table: in, Chain: chain, Exprs: []expr.Any{&expr.Counter{}}})
		if err := conn.Flush(); err != nil {
			return err
		}
		for _, to := range []struct {
			address string
			passes  bool
		}{{"10.9.0.2:53", false}, {"127.0.0.11:54", true}} {
			c, err := net.Dial("udp", to.address)
			if err != nil {
				return err
			}
			c.Write([]byte("one packet"))
			c.Close()
			rules, err := conn.GetRules(in, chain)
			if err != nil {
				return err
			}
			counter := rules[len(rules)-1].Exprs[0].(*expr.Counter)
			assert.Check(t, counter.Packets > 0 == to.passes, "%s: %d packets", to.address, counter.Packets)
		}
		return nil
	}))
}
