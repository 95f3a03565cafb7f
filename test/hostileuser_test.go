//go:build system

package test

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// peakMemory is the most that the daemon ever used, in bytes.
func (e *engine) peakMemory() int {
	e.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.Pid()))
	assert.NilError(e.t, err)
	for _, line := range strings.Split(string(text), "\n") {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(v)[0])
			assert.NilError(e.t, err)
			return kib << 10
		}
	}
	e.t.Fatal("no VmHWM")
	return 0
}

// bounded fails the test if do made the daemon take much more memory.
func (e *engine) bounded(do func()) {
	e.t.Helper()
	before := e.peakMemory()
	do()
	const bar = 64 << 20
	grown := e.peakMemory() - before
	assert.Assert(e.t, grown < bar, "the daemon's memory grew by %d MiB", grown>>20)
}

// values are the verdicts that the probe printed.
func values(printed string) map[string]string {
	found := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(printed), "\n") {
		what, verdict, _ := strings.Cut(line, " ")
		found[what] = verdict
	}
	return found
}

// A user is exactly who was named, or the container does not start: never root
// because a number was too large or a line of the image says so.
func TestUsersAreWhoWasNamed(t *testing.T) {
	passwd := strings.Join([]string{
		"root:x:0:0:root:/root:/bin/sh",
		"1000:x:0:0:a number for a name:/:/bin/sh",
		"4294967296:x:0:0::/:/bin/sh",
		"-1:x:0:0::/:/bin/sh",
		"named:x:1234:1235::/home:/bin/sh",
		"large:x:4294967296:0::/:/bin/sh",
		"minus:x:-1:0::/:/bin/sh",
		"empty:x:::/:/bin/sh",
		"short:x",
		":x:0:0:::",
	}, "\n") + "\n"
	group := "root:x:0:\nnamed:x:77:named,1000\n2000:x:0:\n4294967296:x:0:\nlarge:x:4294967296:\n"
	e := start(t)
	assert.Assert(t, e.importImage("users", append(probeEntries(t), harness.Dir("etc"),
		harness.File("etc/passwd", passwd), harness.File("etc/group", group))...))
	e.must("run", "-d", "--name", "held", "users", "/probe", "wait")
	const refused = ""
	for _, row := range []struct{ user, uid, gid string }{
		{"0", "0", "0"},
		{"00", "0", "0"},
		{"1000", "1000", "0"},
		{"01000", "1000", "0"},
		{"1000:1000", "1000", "1000"},
		{"1000:2000", "1000", "2000"},
		{"2147483647", "2147483647", "0"},
		{"named", "1234", "1235"},
		{"named:named", "1234", "77"},
		{"1234", "1234", "1235"},
		{"4294967296", refused, ""},
		{"4294967295", refused, ""},
		{"2147483648", refused, ""},
		{"18446744073709551616", refused, ""},
		{"-1", refused, ""},
		{"-0x1", refused, ""},
		{"0x10", refused, ""},
		{" 5", refused, ""},
		{"5 ", refused, ""},
		{"5\n", refused, ""},
		{"1e3", refused, ""},
		{"large", refused, ""},
		{"minus", refused, ""},
		{"1000:4294967296", refused, ""},
		{"1000:2147483648", refused, ""},
		{"1000:-1", refused, ""},
		{"1000:large", refused, ""},
		{"nobody-here", refused, ""},
		{"0:nobody-here", refused, ""},
		{"1000:0:0", refused, ""},
	} {
		t.Run(fmt.Sprintf("%q", row.user), func(t *testing.T) {
			e := e.in(t)
			for _, args := range [][]string{{"run", "--rm", "-u", row.user, "users"}, {"exec", "-u", row.user, "held"}} {
				res := e.any(append(args, "/probe", "self")...)
				if row.uid == refused {
					assert.Assert(t, res.Code != 0 && !strings.Contains(res.Stdout, "status:"), "%s: %s", args[0], res)
					continue
				}
				assert.Equal(t, res.Code, 0, "%s: %s", args[0], res)
				got := values(res.Stdout)
				assert.Equal(t, got["status:Uid"], strings.Repeat(row.uid+",", 3)+row.uid, args[0])
				assert.Equal(t, got["status:Gid"], strings.Repeat(row.gid+",", 3)+row.gid, args[0])
				if row.uid != "0" {
					for _, set := range []string{"CapEff", "CapPrm", "CapInh", "CapAmb"} {
						assert.Equal(t, got["status:"+set], "0000000000000000", "%s: %s", args[0], set)
					}
				}
			}
		})
	}
}

func TestGroupsHoldThePrimaryTheImagesAndTheAdded(t *testing.T) {
	e := startLoaded(t)
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"-u", "alice"}, "1000 29 100"},
		{[]string{"-u", "1000"}, "1000 29 100"},
		{[]string{"-u", "alice:audio"}, "29"},
		{[]string{"-u", "1000:29"}, "29"},
		{[]string{"-u", "5", "--group-add", "77"}, "0 77"},
		{[]string{"-u", "alice", "--group-add", "77", "--group-add", "audio"}, "1000 29 77 100"},
	} {
		assert.Equal(t, e.must(append(append([]string{"run", "--rm"}, row.args...), "busybox", "id", "-G")...), row.want, "%v", row.args)
	}
}

// The image is the attacker here: what it gives for accounts may be endless.
func TestAccountsWithoutAnEndAreReadInBounds(t *testing.T) {
	e := startLoaded(t)
	for _, row := range []struct{ name, script string }{
		{"one line of a gigabyte", "rm /etc/passwd /etc/group; for f in passwd group; do dd if=/dev/zero of=/etc/$f bs=1 count=0 seek=1073741824; done"},
		{"two gigabytes after good lines", "for f in passwd group; do dd if=/dev/zero of=/etc/$f bs=1 count=0 seek=2147483648; done"},
		{"a million accounts", "yes 'u:x:5:5::/:/bin/sh' | head -n 1000000 > /etc/passwd; yes 'g:x:5:u,alice' | head -n 1000000 > /etc/group"},
		{"a FIFO", "rm /etc/passwd /etc/group; mkfifo /etc/passwd; mkfifo /etc/group"},
		{"/dev/zero", "ln -sf /dev/zero /etc/passwd; ln -sf /dev/zero /etc/group"},
		{"a device node", "rm /etc/passwd /etc/group; mknod /etc/passwd c 1 5; mknod /etc/group c 1 5"},
		{"a link to a terminal", "ln -sf /dev/tty /etc/passwd; ln -sf /dev/ptmx /etc/group"},
		{"a link to itself", "ln -sf passwd /etc/passwd; ln -sf group /etc/group"},
		{"a folder", "rm /etc/passwd /etc/group; mkdir /etc/passwd /etc/group"},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := e.in(t)
			e.must("run", "-d", "--name", "spoilt", "--stop-signal", "KILL", "busybox", "sh", "-c", row.script+"; touch /done; exec sleep 1000")
			defer e.must("rm", "-f", "spoilt")
			eventually(t, "the accounts are spoilt", func() bool { return e.any("exec", "spoilt", "test", "-e", "/done").Code == 0 })
			e.bounded(func() {
				// Busybox would read the accounts itself for its own id.
				assert.Equal(t, e.must("exec", "-u", "5:6", "spoilt", "grep", "Uid", "/proc/self/status"), "Uid:\t5\t5\t5\t5")
				assert.Assert(t, e.any("exec", "-u", "nobody-here", "spoilt", "id").Code != 0)
				e.must("restart", "spoilt") // the accounts are read at start as well
				assert.Equal(t, e.must("exec", "-u", "5", "spoilt", "echo", "in"), "in")
			})
		})
	}
}

func TestNewlinesAndNulsAreRefused(t *testing.T) {
	e := startLoaded(t)
	create := func(body map[string]any) (int, string) {
		body["Image"] = "busybox"
		text, err := json.Marshal(body)
		assert.NilError(t, err)
		code, answer, _, err := e.Do("POST", "/containers/create", string(text))
		assert.NilError(t, err)
		return code, answer
	}
	host := func(key string, value any) map[string]any {
		return map[string]any{"HostConfig": map[string]any{key: value}}
	}
	for name, body := range map[string]map[string]any{
		"a newline in the hostname":    {"Hostname": "a\nb"},
		"a NUL in the hostname":        {"Hostname": "a\x00b"},
		"a long hostname":              {"Hostname": strings.Repeat("x", 70000)},
		"a newline in the domain":      {"Domainname": "a\nb"},
		"a NUL in the environment":     {"Env": []string{"A=b\x00C=d"}},
		"no name in the environment":   {"Env": []string{"=b"}},
		"a NUL in the command":         {"Cmd": []string{"a\x00b"}},
		"a NUL in the entry point":     {"Entrypoint": []string{"a\x00b"}},
		"a NUL in the working folder":  {"WorkingDir": "/a\x00b"},
		"a NUL in the user":            {"User": "a\x00b"},
		"a newline in an added host":   host("ExtraHosts", []string{"a\nb:127.0.0.1"}),
		"a newline behind an address":  host("ExtraHosts", []string{"a:127.0.0.1\nb"}),
		"an added host without one":    host("ExtraHosts", []string{"a"}),
		"a newline in a DNS server":    host("Dns", []string{"127.0.0.1\nx"}),
		"a newline in a search domain": host("DnsSearch", []string{"a\nnameserver 127.0.0.1"}),
		"a newline in a DNS option":    host("DnsOptions", []string{"a\nb"}),
		"a NUL in a bind":              host("Binds", []string{"/tmp:/a\x00b"}),
		"a NUL in a tmpfs":             host("Tmpfs", map[string]string{"/a\x00b": ""}),
		"a NUL in a sysctl":            host("Sysctls", map[string]string{"net.ipv4.ip_forward": "1\x00"}),
		"a long working folder":        {"WorkingDir": "/" + strings.Repeat("x", 70000)},
		"a long target of a bind":      host("Binds", []string{"/tmp:/" + strings.Repeat("x", 70000)}),
		"a long name of a sysctl":      host("Sysctls", map[string]string{"net." + strings.Repeat("x", 70000): "1"}),
		"a long value of a sysctl":     host("Sysctls", map[string]string{"net.ipv4.ip_forward": strings.Repeat("1", 70000)}),
		"a long cgroup parent":         host("CgroupParent", "/"+strings.Repeat("x", 70000)),
		"a namespace by its path":      host("PidMode", "/proc/1/ns/pid"),
		"a NUL in the cgroup parent":   host("CgroupParent", "/a\x00b"),
		"a cgroup parent upwards":      host("CgroupParent", "/../../escape"),
	} {
		t.Run(name, func(t *testing.T) {
			code, answer := create(body)
			assert.Equal(t, code, 400, answer)
		})
	}
	assert.Equal(t, e.must("ps", "-aq"), "")
}

func TestSysctlsOfTheHostAreRefused(t *testing.T) {
	h := newHost(t)
	e := startLoaded(t)
	for _, row := range []struct{ network, name, value string }{
		{"", "kernel.core_pattern", "|/evil"},
		{"", "kernel/core_pattern", "|/evil"},
		{"", "kernel.modprobe", "/evil"},
		{"", "kernel.hostname", "x"},
		{"", "vm.overcommit_memory", "1"},
		{"", "fs.file-max", "1"},
		{"", "net", "1"},
		{"", "net.", "1"},
		{"", "", "1"},
		{"", "net.ipv4/../../kernel/core_pattern", "|/evil"},
		{"", "net/../kernel/core_pattern", "|/evil"},
		{"", "net.ipv4.conf/../../../kernel/core_pattern", "|/evil"},
		{"", "net.ipv4.../../kernel.core_pattern", "|/evil"},
		{"", "net.//kernel.core_pattern", "|/evil"},
		{"", "fs.mqueue/../file-max", "1"},
		{"", "fs.mqueue/../../kernel/core_pattern", "|/evil"},
		{"", "fs/mqueue/../file-max", "1"},
		{"", "kernel.shmmax\nkernel.core_pattern", "1"},
		{"", "kernel.shmmax+kernel.core_pattern", "1"},
		{"", "kernel.shmmax=1+kernel.core_pattern", "1"},
		{"", "kernel.shm_rmid_forced/../core_pattern", "1"},
		{"", "/proc/sys/kernel/core_pattern", "1"},
		{"host", "net.ipv4.ip_forward", "0"},
		{"host", "net/ipv4/ip_forward", "0"},
	} {
		host := map[string]any{"Sysctls": map[string]string{row.name: row.value}}
		if row.network != "" {
			host["NetworkMode"] = row.network
		}
		code, text, _, err := e.Do("POST", "/containers/create?name=sysctl", map[string]any{"Image": "busybox", "HostConfig": host})
		assert.NilError(t, err)
		if code == 201 {
			code, text, _, err = e.Do("POST", "/containers/sysctl/start", nil)
			assert.NilError(t, err)
			t.Errorf("%q on %q was created; start: %d %s", row.name, row.network, code, text)
			e.must("rm", "-f", "sysctl")
		} else {
			assert.Equal(t, code, 400, "%q: %s", row.name, text)
		}
		h.unchanged(t)
	}
}

func TestRangesOfProcessorsAreNotCounted(t *testing.T) {
	e := startLoaded(t)
	e.bounded(func() {
		for _, set := range []string{"1-2147483647", "0-4294967295", "0-18446744073709551615", "2147483647", "0-99999999999999999999", "1-0", "0,,1", "a", "0-", "-1", "0;1",
			strings.Repeat("0,", 500000) + "0"} {
			for _, key := range []string{"CpusetCpus", "CpusetMems"} {
				code, text, _, err := e.Do("POST", "/containers/create", map[string]any{"Image": "busybox", "HostConfig": map[string]any{key: set}})
				assert.NilError(t, err)
				if len(set) > 1000 && code == 201 {
					continue // long, and right
				}
				assert.Equal(t, code, 400, "%s %.40s: %s", key, set, text)
			}
		}
	})
}
