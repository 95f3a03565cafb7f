//go:build system

package test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// debianCache keeps the root that debootstrap has made. `make clean` removes it.
const debianCache = ".cache/debian-root.tar"

const debianMirror = "http://deb.debian.org/debian"

// debianRoot gives the tar of a Debian 12 root, made by scripts/debian-root.sh if it
// is not there yet. Without a mirror there is none, and the test is skipped.
func debianRoot(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(debianCache)
	assert.NilError(t, err)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		t.Skip("SKIPPED: debootstrap is not installed (scripts/deps.sh debian)")
	}
	if !mirrorAnswers() {
		t.Skipf("SKIPPED: debootstrap cannot reach %s", debianMirror)
	}
	assert.NilError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	out, err := exec.Command("../scripts/debian-root.sh", path).CombinedOutput()
	assert.NilError(t, err, string(out))
	return path
}

func mirrorAnswers() bool {
	client := http.Client{Timeout: 10 * time.Second}
	res, err := client.Head(debianMirror + "/dists/bookworm/Release")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// A debianCheck is a command in a Debian container, as it would be typed there.
type debianCheck struct {
	name   string
	user   string // "" is root
	tty    bool
	script string
	want   string // its stdout
	mapped string // what it is with a user namespace, if that differs
}

const makeRepo = `
set -e
mkdir -p /tmp/bell/DEBIAN /tmp/ringer/DEBIAN /tmp/ringer/srv/bell
printf 'Package: bell\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: has a trigger\n' >/tmp/bell/DEBIAN/control
printf 'interest /srv/bell\n' >/tmp/bell/DEBIAN/triggers
printf '#!/bin/sh\necho "$1 $2" >>/var/log/bell\n' >/tmp/bell/DEBIAN/postinst
chmod 755 /tmp/bell/DEBIAN/postinst
printf 'Package: ringer\nVersion: 1\nArchitecture: all\nDepends: bell\nMaintainer: x <x@example.org>\nDescription: pulls it\n' >/tmp/ringer/DEBIAN/control
echo ding >/tmp/ringer/srv/bell/ding
for p in bell ringer; do dpkg-deb --root-owner-group --build /tmp/$p /repo/$p.deb >/dev/null; done
cd /repo
for f in *.deb; do
	dpkg-deb -f $f
	printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' $f $(stat -c %s $f) $(sha256sum $f | cut -d' ' -f1)
done >Packages
echo 'deb [trusted=yes] file:/repo ./' >/etc/apt/sources.list
apt-get -q update 2>&1 | tail -n 1
`

const pythonWork = `python3 -c '
import multiprocessing as mp, subprocess, threading, multiprocessing.shared_memory as sm, os, tempfile
def square(n): return n * n
if __name__ == "__main__":
    with mp.Pool(3) as pool: print(sum(pool.map(square, range(50))))
    found = []
    threads = [threading.Thread(target=lambda: found.append(subprocess.run(["echo", "hi"], capture_output=True, text=True).stdout)) for _ in range(8)]
    [t.start() for t in threads]; [t.join() for t in threads]
    print(len(found), set(found))
    m = sm.SharedMemory(create=True, size=4096); m.buf[0] = 7
    n = sm.SharedMemory(name=m.name); print(n.buf[0]); n.close(); m.close(); m.unlink()
    with tempfile.NamedTemporaryFile() as f: print(os.stat(f.name).st_uid == os.getuid())
'`

var debianChecks = []debianCheck{
	{name: "apt-get update", script: makeRepo, want: "Reading package lists..."},
	{name: "apt-get install", script: "apt-get -qq install -y hello sudo ringer >/dev/null 2>&1; hello; dpkg -s sudo ringer | grep -c '^Status: install ok installed'", want: "Hello, world!\n2"},
	{name: "dpkg triggers", script: "apt-get -qq install -y --reinstall ringer >/dev/null 2>&1; cat /var/log/bell; cat /srv/bell/ding", want: "configure \ntriggered /srv/bell\nding"},
	{name: "apt-get purge", script: "apt-get -qq purge -y ringer >/dev/null 2>&1; dpkg -s ringer 2>/dev/null; echo $?; dpkg --audit", want: "1"},
	{name: "useradd", script: "useradd -m -s /bin/bash -G audio carol && echo root:secret | chpasswd && id carol && stat -c %U:%G:%a /home/carol /etc/shadow",
		want: "uid=1000(carol) gid=1000(carol) groups=1000(carol),29(audio)\ncarol:carol:755\nroot:shadow:640"},
	{name: "su to a user", script: `su carol -c 'id -un; echo $HOME; touch ~/f && stat -c %u ~/f; cat /etc/shadow 2>&1'`, want: "carol\n/home/carol\n1000\ncat: /etc/shadow: Permission denied"},
	{name: "su to root is setuid", user: "carol", script: "stat -c %U:%a /usr/bin/su; echo secret | su -c 'id -u; grep ^CapEff /proc/self/status' 2>/dev/null",
		want: "root:4755\n0\nCapEff:\t00000000a80425fb"},
	{name: "sudo", script: "echo 'carol ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/carol; su carol -c 'sudo -n id -u; sudo -n -u nobody id -un' 2>/dev/null", want: "0\nnobody"},
	{name: "ping as root", script: "ping -c1 -W5 127.0.0.1 | grep -o '1 received'", want: "1 received"},
	{name: "ping as a user", user: "carol", script: "ping -c1 -W5 127.0.0.1 | grep -o '1 received'", want: "1 received"},
	{name: "capabilities of files", script: "cp /usr/bin/python3.11 /usr/local/bin/raw && setcap cap_net_raw+ep /usr/local/bin/raw && getcap /usr/local/bin/raw; " +
		`for p in raw python3; do su carol -c "$p -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print(1)'" 2>&1 | tail -n 1; done`,
		want: "/usr/local/bin/raw cap_net_raw=ep\n1\nPermissionError: [Errno 1] Operation not permitted"},
	{name: "locale", script: "locale -a | grep -x de_DE.utf8; LC_ALL=de_DE.UTF-8 python3 -c 'import locale; locale.setlocale(locale.LC_ALL, \"\"); print(locale.format_string(\"%.2f\", 1.5), \"ä\".upper())'", want: "de_DE.utf8\n1,50 Ä"},
	{name: "python", script: pythonWork, want: "40425\n8 {'hi\\n'}\n7\nTrue"},
	{name: "python as a user", user: "carol", script: "cd ~; " + pythonWork, want: "40425\n8 {'hi\\n'}\n7\nTrue"},
	{name: "/dev/stdout as a user", user: "carol", script: "echo one >/dev/stdout; echo two | tee /dev/fd/1 | sort -u; echo gone >/dev/null; bash -c 'echo three >/dev/fd/1'", want: "one\ntwo\nthree"},
	{name: "/dev/stdout after su", script: "su carol -c 'echo one >/proc/self/fd/1 && echo two >/dev/stdout'", want: "one\ntwo"},
	{name: "tar keeps owners", script: "cd /tmp && mkdir -p t/d && touch t/f && chown -R 1234:4321 t && chmod 4751 t/f && ln t/f t/hard && ln -s f t/soft && mkfifo t/fifo && " +
		"tar cf t.tar t && mkdir out && tar xpf t.tar -C out && cd out/t && stat -c '%n %u:%g %a %h' d f hard && readlink soft && test -p fifo && echo fifo",
		want: "d 1234:4321 755 2\nf 1234:4321 4751 2\nhard 1234:4321 4751 2\nf\nfifo"},
	{name: "chown is root's", user: "carol", script: "touch ~/g; chown nobody ~/g 2>&1", want: "chown: changing ownership of '/home/carol/g': Operation not permitted"},
	{name: "device nodes", script: "mknod /tmp/null c 1 3 2>&1 && echo x >/tmp/null && echo made", want: "made", mapped: "mknod: /tmp/null: Operation not permitted"},
	{name: "terminals", script: "script -qec 'tty; stty size >/dev/null && echo sized' /dev/null | tr -d '\\r'; python3 -c 'import pty, os; m, s = pty.openpty(); print(os.isatty(s))'", want: "/dev/pts/0\nsized\nTrue"},
	{name: "terminal of exec", user: "carol", tty: true, script: "test -O $(tty) && stat -c %G:%a $(tty); echo x >/dev/tty", want: "tty:620\nx"},
	{name: "ps", script: "ps -o pid=,user=,comm= -p 1 | tr -s ' '; ps -C sleep -o pid=,args= | tr -s ' '; pgrep -x sleep", want: " 1 root sleep\n 1 sleep 100000\n1"},
	{name: "mount is refused", script: "mount -t tmpfs x /mnt 2>&1; echo $?", want: "mount: /mnt: permission denied.\n       dmesg(1) may have more information after failed mount system call.\n32"},
	{name: "namespaces are refused", user: "carol", script: "unshare -U true 2>&1; unshare -m true 2>&1", want: "unshare: unshare failed: Operation not permitted\nunshare: unshare failed: Operation not permitted"},
	{name: "names", script: "getent hosts localhost | grep -c localhost; getent passwd carol | cut -d: -f6; test \"$(hostname)\" = \"$(cat /etc/hostname)\" && echo same", want: "1\n/home/carol\nsame"},
	{name: "limits", user: "carol", script: "ulimit -Sn; ulimit -Sc; nice -n 5 sh -c nice; umask", want: "1024\n0\n5\n0022"},
	{name: "background work", script: "sh -c 'sleep 0.2; echo late >/tmp/late' & wait; cat /tmp/late", want: "late"},
}

// A Debian with its own tools works as on a machine, also in a user namespace.
func TestDebianWorks(t *testing.T) {
	root := debianRoot(t)
	e := startRemapped(t, "")
	e.must("import", root, "debian:12")
	for _, mode := range []struct {
		name   string
		flags  []string
		mapped bool
	}{{"plain", []string{"--userns", "host"}, false}, {"remapped", nil, true}} {
		t.Run(mode.name, func(t *testing.T) {
			args := append([]string{"run", "-d", "--rm", "--name", mode.name, "-e", "DEBIAN_FRONTEND=noninteractive"}, mode.flags...)
			e.must(append(args, "debian:12", "sleep", "100000")...)
			for _, c := range debianChecks {
				if mode.mapped && c.mapped != "" {
					c.want = c.mapped
				}
				t.Run(c.name, func(t *testing.T) {
					res, err := e.debian(mode.name, c).Run(t.Context())
					assert.NilError(t, err)
					assert.Equal(t, strings.TrimRight(strings.ReplaceAll(res.Stdout, "\r", ""), "\n"), c.want, res.Stderr)
				})
			}
			e.must("rm", "-f", mode.name)
		})
	}
	t.Run("mirror", func(t *testing.T) {
		if !mirrorAnswers() {
			t.Skipf("SKIPPED: this machine cannot reach %s", debianMirror)
		}
		out := e.must("run", "--rm", "--userns", "host", "--network", "host", "debian:12", "sh", "-ec",
			"echo deb "+debianMirror+" bookworm-updates main >/etc/apt/sources.list; apt-get -q update 2>&1 | tail -n 1")
		assert.Equal(t, out, "Reading package lists...")
	})
}

// debian makes a command of a check in a container.
func (e *engine) debian(container string, c debianCheck) harness.Command {
	args := []string{"exec"}
	if c.user != "" {
		args = append(args, "-u", c.user)
	}
	if c.tty {
		args = append(args, "-t")
	}
	cmd := e.Command(e.cli, append(args, container, "bash", "-c", c.script)...)
	cmd.Patience = 5 * time.Minute
	return cmd
}
