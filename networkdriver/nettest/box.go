package nettest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/sandbox"
	"github.com/jobengine/engine/networkdriver"
)

// box is a process in a network namespace of its own.
type box struct {
	path     string
	endpoint networkdriver.Endpoint
	end      func()
	words    map[uint16]string // what it serves, with a Model; else nil
}

func (f *fixture) newBox(t *testing.T) *box {
	if _, ok := f.Driver.(Model); ok {
		return &box{path: "/nowhere", end: func() {}, words: map[uint16]string{}}
	}
	cmd := exec.Command("unshare", "-n", "sleep", "120")
	assert.NilError(t, cmd.Start())
	b := &box{path: fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid)}
	done := false
	b.end = func() {
		if !done {
			done = true
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	t.Cleanup(b.end)
	own, err := os.Readlink("/proc/thread-self/ns/net")
	assert.NilError(t, err)
	eventually(t, "a namespace", func() bool {
		other, _ := os.Readlink(b.path)
		return other != own
	})
	return b
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(patience()); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: it did not come", what)
}

// join connects a new box to an endpoint, as the engine does.
func (f *fixture) join(t *testing.T, e networkdriver.Endpoint, name string) *box {
	t.Helper()
	b := f.newBox(t)
	b.endpoint = e
	f.boxes[e.ID] = b
	j, err := f.Join(t.Context(), e.NetworkID, e.ID, networkdriver.Sandbox{Path: b.path, Interface: name})
	assert.NilError(t, err)
	if b.words != nil {
		return b
	}
	assert.NilError(t, sandbox.Connect(b.path, sandbox.Interface{
		Name: name, From: j.Interface, MAC: e.MAC, Address: e.Address, AddressIPv6: e.AddressIPv6, Gateway: j.Gateway, GatewayIPv6: j.GatewayIPv6,
	}))
	if s, ok := f.Driver.(networkdriver.Settler); ok {
		s.Settle(t.Context(), e.NetworkID, e.ID)
	}
	return b
}

// serve answers each TCP connection to a port of the box with a word and the client's address.
func (b *box) serve(t *testing.T, port uint16, word string) {
	t.Helper()
	if b.words != nil {
		b.words[port] = word
		return
	}
	var l net.Listener
	assert.NilError(t, sandbox.Do(b.path, func() (err error) {
		l, err = net.Listen("tcp", fmt.Sprintf(":%d", port))
		return err
	}))
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			fmt.Fprintf(c, "%s %s", word, host)
			c.Close()
		}
	}()
}

// ask connects from a box, or from the host with an empty path, and gives what is answered.
func ask(path string, to netip.AddrPort) (string, error) {
	var answer string
	get := func() error {
		c, err := (&net.Dialer{Timeout: 700 * time.Millisecond}).Dial("tcp", to.String())
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(2 * time.Second))
		text, err := io.ReadAll(c)
		answer = string(text)
		return err
	}
	if path == "" {
		return answer, get()
	}
	err := sandbox.Do(path, get)
	return answer, err
}

// at is a port of a box.
func (b *box) at(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(b.endpoint.Address.Addr(), port)
}

// ask connects from a box, or from the host if that is nil.
func (f *fixture) ask(from *box, to netip.AddrPort) (string, error) {
	path, id, source := "", "", netip.Addr{}
	if from != nil {
		path, id, source = from.path, from.endpoint.ID, from.endpoint.Address.Addr()
	}
	m, ok := f.Driver.(Model)
	if !ok {
		return ask(path, to)
	}
	endpoint, port, err := m.Connect(id, to)
	if err != nil {
		return "", err
	}
	word, ok := f.boxes[endpoint].words[port]
	if !ok {
		return "", errors.New("connection refused")
	}
	return fmt.Sprint(word, " ", source), nil
}

// answer waits for one: a busy machine takes its time.
func (f *fixture) answer(t *testing.T, from *box, to netip.AddrPort) (text string) {
	t.Helper()
	var err error
	for until := time.Now().Add(patience()); time.Now().Before(until); {
		if text, err = f.ask(from, to); err == nil {
			return text
		}
	}
	t.Fatalf("%s does not answer: %v", to, err)
	return ""
}

// silence checks that nobody answers.
func (f *fixture) silence(t *testing.T, from *box, to netip.AddrPort) {
	t.Helper()
	text, err := f.ask(from, to)
	assert.Check(t, err != nil, "%s answers: %s", to, text)
}

func up(t *testing.T, name string) {
	link, err := netlink.LinkByName(name)
	assert.NilError(t, err)
	assert.NilError(t, netlink.LinkSetUp(link))
}

func links(t *testing.T) map[string]bool {
	list, err := netlink.LinkList()
	assert.NilError(t, err)
	names := map[string]bool{}
	for _, l := range list {
		names[l.Attrs().Name] = true
	}
	return names
}

// patience bounds a failure. The suite's own tests, which wait for failures, have less.
func patience() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("NETTEST_PATIENCE")); err == nil {
		return d
	}
	return 60 * time.Second
}
