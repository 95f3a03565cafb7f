//go:build system

package test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/sandbox"
)

// A place is a network namespace: the daemon's host, another host, a container. What listens and
// asks there is the test itself.
type place struct {
	t    *testing.T
	name string
	path string
}

// host is where the daemon is.
func (e *engine) host() place {
	return place{e.t, "the host", fmt.Sprintf("/proc/%d/ns/net", e.Pid())}
}

// inside is a running container.
func (e *engine) inside(name string) place {
	e.t.Helper()
	return place{e.t, name, fmt.Sprintf("/proc/%s/ns/net", e.must("inspect", "-f", "{{.State.Pid}}", name))}
}

// neighbourPlace is another host on the wire, 10.213.0.2 and fd13::2 beside the daemon's 10.213.0.1 and
// fd13::1, with routes to all of 172.16.0.0/12, 10.0.0.0/8 and fd00::/8 by it.
func (e *engine) neighbourPlace() place {
	e.t.Helper()
	lan := newPlace(e.t, "a neighbour")
	pid := strings.Split(lan.path, "/")[2]
	out, err := e.onHost("ip link add lan0 type veth peer name lan0 netns " + pid + " && ip addr add 10.213.0.1/24 dev lan0 && ip -6 addr add fd13::1/64 dev lan0 nodad && ip link set lan0 up")
	assert.NilError(e.t, err, out)
	lan.sh("ip link set lo up && ip addr add 10.213.0.2/24 dev lan0 && ip -6 addr add fd13::2/64 dev lan0 nodad && ip link set lan0 up && " +
		"ip route add 172.16.0.0/12 via 10.213.0.1 && ip route add 10.0.0.0/8 via 10.213.0.1 && ip -6 route add fd00::/8 via fd13::1")
	return lan
}

// newPlace makes an empty namespace.
func newPlace(t *testing.T, name string) place {
	t.Helper()
	holder := exec.Command("unshare", "-n", "sleep", "6000")
	assert.NilError(t, holder.Start())
	t.Cleanup(func() { holder.Process.Kill(); holder.Wait() })
	p := place{t, name, fmt.Sprintf("/proc/%d/ns/net", holder.Process.Pid)}
	own, err := os.Readlink("/proc/self/ns/net")
	assert.NilError(t, err)
	eventually(t, "a namespace", func() bool {
		other, err := os.Readlink(p.path)
		return err == nil && other != own
	})
	return p
}

// sh runs a line of shell there, which has to succeed.
func (p place) sh(line string) string {
	p.t.Helper()
	out, err := exec.Command("nsenter", "--net="+p.path, "sh", "-c", line).CombinedOutput()
	assert.NilError(p.t, err, "%s: %s: %s", p.name, line, out)
	return strings.TrimSpace(string(out))
}

// do runs f there.
func (p place) do(f func() error) error { return sandbox.Do(p.path, f) }

// serve answers at an address, which may have the unspecified host "", with a word and the address of
// who asks. The listener ends with the test, or by what is returned.
func (p place) serve(network, address, word string) (stop func()) {
	p.t.Helper()
	var l net.Listener
	var c net.PacketConn
	assert.NilError(p.t, p.do(func() (err error) {
		if strings.HasPrefix(network, "udp") {
			c, err = net.ListenPacket(network, address)
		} else {
			l, err = net.Listen(network, address)
		}
		return err
	}))
	answer := func(from net.Addr) string {
		host, _, _ := net.SplitHostPort(from.String())
		return word + " " + host
	}
	if c != nil {
		go func() {
			buf := make([]byte, 2048)
			for {
				_, from, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				c.WriteTo([]byte(answer(from)), from)
			}
		}()
		p.t.Cleanup(func() { c.Close() })
		return func() { c.Close() }
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.WriteString(conn, answer(conn.RemoteAddr()))
				conn.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, conn)
			}()
		}
	}()
	p.t.Cleanup(func() { l.Close() })
	return func() { l.Close() }
}

// ask gives the answer to one question.
func (p place) ask(network, address string) (answer string, err error) {
	err = p.do(func() error {
		c, err := (&net.Dialer{Timeout: time.Second}).Dial(network, address)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		if strings.HasPrefix(network, "udp") {
			if _, err := c.Write([]byte("who am I?")); err != nil {
				return err
			}
			buf := make([]byte, 2048)
			n, err := c.Read(buf)
			answer = string(buf[:n])
			return err
		}
		text, err := io.ReadAll(c)
		answer = string(text)
		return err
	})
	return answer, err
}

// gets asks until the answer is the wanted one; patience only bounds a failure.
func (p place) gets(network, address, want string) {
	p.t.Helper()
	var answer string
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if answer, err = p.ask(network, address); err == nil && answer == want {
			return
		}
	}
	p.t.Errorf("%s asks %s %s: %q %v, wanted %q", p.name, network, address, answer, err, want)
}

// getsNothing asks once, in vain.
func (p place) getsNothing(network, address string) {
	p.t.Helper()
	if answer, err := p.ask(network, address); err == nil {
		p.t.Errorf("%s asks %s %s: it is answered %q", p.name, network, address, answer)
	}
}
