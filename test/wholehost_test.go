//go:build system

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gotest.tools/v3/assert"
)

// thorough says that everything is wanted, and that the programs of `scripts/deps.sh firewalls` are there.
func thorough() bool { return os.Getenv("ENGINE_FIREWALLS") != "" }

func needThorough(t *testing.T) {
	t.Helper()
	if !thorough() {
		t.Skip("only with `make test-firewalls`")
	}
}

// newWholeHosts is newMachines with a host that has processes, an /etc, a /run and a /var of its own besides its
// network, so that programs that change the one host that they are on can be run there. They see the iptables
// of one kind, nft or legacy. All of them end with the test. The engine has only the network from it.
func newWholeHosts(t *testing.T, iptables string) (host, lan machine) {
	t.Helper()
	dir := t.TempDir()
	// The lock of iptables is the machine's, as the engine and these programs would share it.
	script := fmt.Sprintf(`set -e
		iptables-legacy -w 10 -S >/dev/null
		mount -t tmpfs whole %[1]s
		: >%[1]s/lock && mount --bind /run/xtables.lock %[1]s/lock
		cp -a /etc %[1]s/etc && mount --bind %[1]s/etc /etc
		for kind in iptables ip6tables; do for what in "" -save -restore; do
			ln -sf /usr/sbin/$kind-%[2]s$what /etc/alternatives/$kind$what
		done; done
		for dir in /run /var/log /var/tmp /var/lib/cni /var/lib/containers /dev/shm; do
			[ ! -d $dir ] || mount -t tmpfs whole $dir
		done
		: >/run/xtables.lock && mount --bind %[1]s/lock /run/xtables.lock
		mkdir /run/dbus
		ip link set lo up
		: >/run/ready
		while :; do sleep 5; done`, dir, iptables)
	holder := exec.Command("unshare", "-n", "-m", "-p", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script)
	said, err := os.CreateTemp(t.TempDir(), "said")
	assert.NilError(t, err)
	t.Cleanup(func() { said.Close() })
	holder.Stderr = said
	assert.NilError(t, holder.Start())
	t.Cleanup(func() { holder.Process.Kill(); holder.Wait() })
	host = machine{t: t, pid: holder.Process.Pid, whole: true}
	soon(t, "a host of its own", func() bool { _, err := host.try("test -e /run/ready"); return err == nil },
		func() string { text, _ := os.ReadFile(said.Name()); return string(text) })
	lan = newMachine(t)
	wire(host, lan)
	return host, lan
}

// background runs a program on the machine until the test ends, and gives what stops it before.
func (m machine) background(name, line string) (stop func()) {
	m.t.Helper()
	log, err := os.Create(filepath.Join(m.t.TempDir(), "log"))
	assert.NilError(m.t, err)
	cmd := m.command("echo $$ >/run/" + name + ".pid; exec " + line)
	cmd.Stdout, cmd.Stderr = log, log
	assert.NilError(m.t, cmd.Start())
	m.t.Cleanup(func() {
		cmd.Process.Kill() // nsenter; the program ends with the machine
		log.Close()
		if text, _ := os.ReadFile(log.Name()); m.t.Failed() {
			m.t.Logf("%s says:\n%s", name, lastLines(string(text), 30))
		}
	})
	return func() {
		m.t.Helper()
		m.run("kill $(cat /run/" + name + ".pid)")
		cmd.Wait()
	}
}
