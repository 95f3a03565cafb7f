//go:build system

package test

import (
	"os/exec"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// The real podman, with the iptables of both kinds: both publish ports on one host, whoever starts first, and
// neither takes the other's rules away.
func TestPodmanOnTheSameHost(t *testing.T) {
	needThorough(t)
	for _, c := range []struct{ iptables, first string }{{"nft", "we"}, {"nft", "podman"}, {"legacy", "we"}, {"legacy", "podman"}} {
		t.Run(c.iptables+", first "+c.first, func(t *testing.T) {
			host, lan := newWholeHosts(t, c.iptables)
			group := "/engine-test-podman-" + host.number()
			flags := "--root /var/lib/containers/root --runroot /run/containers --runtime runc --cgroup-manager cgroupfs --storage-driver vfs --events-backend file --network-backend cni "
			podman := func(line string) string { t.Helper(); return host.run("podman " + flags + line) }
			t.Cleanup(func() {
				host.try("podman " + flags + "rm -f -t 0 -a")
				soon(t, "its groups go", func() bool {
					find := "find /sys/fs/cgroup -depth -type d -path '*" + group + "*'"
					out, err := exec.Command("sh", "-c", find+" -exec rmdir {} \\; 2>/dev/null; "+find).CombinedOutput()
					return err == nil && len(out) == 0
				})
			})
			t.Log(podman("--version"))
			lan.serve(80, "neighbour")
			host.run("mkdir /run/image && cp $(command -v busybox) /run/image/ && tar -C /run/image -c busybox | podman " + flags + "import -q - box")

			var e *engine
			var flows, closed func(string)
			ours := func() {
				e = host.engine("--bridge", "engine0")
				flows, closed = e.webs(host, lan)
			}
			theirs := func() {
				podman("run -d --stop-signal KILL --cgroup-parent " + group + " --name theirs -p 9080:80 box /busybox sh -c '/busybox mkdir /www; echo theirs >/www/index.html; exec /busybox httpd -f -p 80 -h /www'")
			}
			if c.first == "we" {
				ours()
				theirs()
			} else {
				theirs()
				ours()
			}
			both := func(when string) {
				t.Helper()
				flows(when)
				closed(when)
				seen := ""
				soon(t, when+": theirs", func() bool {
					in, _ := lan.try(fetch("10.213.0.1:9080"))
					out, _ := host.try("podman " + flags + "exec theirs /busybox sh -c \"" + strings.NewReplacer(`\`, `\\`, "busybox", "/busybox", "printf", "/busybox printf", "tail", "/busybox tail", "grep", "/busybox grep").Replace(fetch("10.213.0.2")) + "\"")
					seen = "to it: " + in + ", from it: " + out
					return in == "theirs" && out == "neighbour"
				}, func() string { return seen }, host.rules)
				soon(t, when+": theirs from ours, by the host's port", func() bool {
					return e.any("exec", "web", "sh", "-c", fetch("10.213.0.1:9080")).Out() == "theirs"
				})
			}
			both("at first")
			talk := e.talk(lan)
			podman("stop -t 0 theirs")
			flows("theirs has stopped")
			talk("theirs has stopped")
			podman("start theirs")
			both("theirs again")
			host.run("nft delete table inet $(nft list tables inet | sed -n 's/table inet //p' | grep -m1 engine)")
			both("our rules were flushed")
			host.run("iptables-" + c.iptables + " -P FORWARD DROP")
			flows("a policy") // which podman's own rules do not get new connections past
			talk("a policy")
			host.run("iptables-" + c.iptables + " -P FORWARD ACCEPT")

			// We go, and theirs stays.
			e.must("rm", "-f", "web", "six", "echo")
			e.must("network", "rm", "both")
			assert.NilError(t, e.Stop())
			out, code := e.cleanUp(host)
			assert.Equal(t, code, 0, out)
			rules := host.rules()
			assert.Check(t, !strings.Contains(rules, "let-through") && !strings.Contains(rules, "engine"), rules)
			soon(t, "theirs without us", func() bool { in, _ := lan.try(fetch("10.213.0.1:9080")); return in == "theirs" })
			// Theirs goes, and we stay.
			assert.NilError(t, e.Start())
			flows, closed = e.webs(host, lan)
			podman("rm -f -t 0 theirs")
			flows("theirs is gone")
			closed("theirs is gone")
			e.must("rm", "-f", "web", "six")
		})
	}
}
