//go:build system

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// machine is a network namespace that stands for a host, for one or more daemons, and that outlives
// them; lan is another machine on its wire, at 10.213.0.2, with a route to all of 172.16.0.0/12
// and fd00::/8 by the host, 10.213.0.1 and fd13::1.
type machine struct {
	t     *testing.T
	pid   int
	whole bool // it has more of its own than a network (newWholeHosts)
}

func newMachine(t *testing.T) machine {
	t.Helper()
	holder := exec.Command("unshare", "-n", "sleep", "1200")
	assert.NilError(t, holder.Start())
	t.Cleanup(func() { holder.Process.Kill(); holder.Wait() })
	m := machine{t: t, pid: holder.Process.Pid}
	own, err := exec.Command("readlink", "/proc/self/ns/net").Output()
	assert.NilError(t, err)
	soon(t, "a namespace", func() bool {
		other, _ := m.try("readlink /proc/self/ns/net")
		return other != "" && other != strings.TrimSpace(string(own))
	})
	m.run("ip link set lo up")
	return m
}

// newMachines gives a host and its neighbour.
func newMachines(t *testing.T) (host, lan machine) {
	t.Helper()
	host, lan = newMachine(t), newMachine(t)
	wire(host, lan)
	return host, lan
}

// wire puts two machines on one. lan sees the processes that the test sees.
func wire(host, lan machine) {
	host.t.Helper()
	lan.run(fmt.Sprintf("ip link add lan0 type veth peer name lan0 netns %d", host.pid))
	host.run("ip addr add 10.213.0.1/24 dev lan0 && ip addr add fd13::1/64 dev lan0 nodad && ip link set lan0 up")
	lan.run(`ip addr add 10.213.0.2/24 dev lan0 && ip addr add fd13::2/64 dev lan0 nodad && ip link set lan0 up
		ip route add 172.16.0.0/12 via 10.213.0.1 && ip route add fd00::/8 via fd13::1`)
}

// wrap is how a daemon is put on the machine's network.
func (m machine) wrap() []string {
	return []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", m.pid)}
}

func (m machine) command(line string) *exec.Cmd {
	args := m.wrap()
	if m.whole {
		args = append(args, fmt.Sprintf("--mount=/proc/%d/ns/mnt", m.pid), fmt.Sprintf("--pid=/proc/%d/ns/pid_for_children", m.pid))
	}
	args = append(args, "sh", "-c", line)
	return exec.Command(args[0], args[1:]...)
}

func (m machine) try(line string) (string, error) {
	out, err := m.command(line).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// run runs a line that has to succeed.
func (m machine) run(line string) string {
	m.t.Helper()
	out, err := m.try(line)
	assert.NilError(m.t, err, "%s: %s", line, out)
	return out
}

// serve answers HTTP with a word, until the test ends.
func (m machine) serve(port int, word string) {
	m.t.Helper()
	dir := m.t.TempDir()
	assert.NilError(m.t, exec.Command("sh", "-c", "echo "+word+" >"+dir+"/index.html").Run())
	server := exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", m.pid), "busybox", "httpd", "-f", "-p", fmt.Sprint(port), "-h", dir)
	assert.NilError(m.t, server.Start())
	m.t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	soon(m.t, word+" serves", func() bool { out, _ := m.try(fetch(fmt.Sprintf("127.0.0.1:%d", port))); return out == word })
}

// engine starts a daemon on the machine.
func (m machine) engine(flags ...string) *engine {
	m.t.Helper()
	e := startWith(m.t, harness.Options{Wrap: m.wrap(), Flags: flags})
	e.load()
	return e
}

// rules is what all the firewalls of the machine say.
func (m machine) rules() string {
	m.t.Helper()
	return m.run("nft -s list ruleset; iptables-legacy -S; ip6tables-legacy -S")
}

// testdata gives a folder of this one's testdata by its full path.
func testdata(t *testing.T, name string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("testdata", name))
	assert.NilError(t, err)
	return dir
}

func openFile(t *testing.T, path string) (*os.File, error) {
	f, err := os.Open(path)
	if err == nil {
		t.Cleanup(func() { f.Close() })
	}
	return f, err
}

// soon waits for what several programs have to do, with the patience that a busy machine needs.
func soon(t *testing.T, what string, cond func() bool, seen ...func() string) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			for _, say := range seen {
				t.Log(say())
			}
			t.Fatalf("not within 90 s: %s", what)
		}
	}
}

// number is the machine as `ip` wants it for netns.
func (m machine) number() string { return strconv.Itoa(m.pid) }
