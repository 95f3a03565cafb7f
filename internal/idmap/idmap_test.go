package idmap

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

// host makes the files of a host in a folder.
func host(t *testing.T, subuid, subgid string) Accounts {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"passwd": "root:x:0:0::/root:/bin/sh\nalice:x:1000:1001::/:/bin/sh\n1234:x:77:77::/:/bin/sh\n",
		"group":  "root:x:0:\nalice:x:1001:\nstaff:x:50:\n",
		"subuid": subuid, "subgid": subgid,
	} {
		assert.NilError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return accountsIn(dir)
}

func TestRemapReadsWhatTheHostGives(t *testing.T) {
	const subuid = "# ids\nbob:1:2\nalice:200000:1000\n\nalice:100000:65536\n"
	const subgid = "alice:300000:65536\nstaff:400000:10\n50:500000:5\n"
	for _, c := range []struct{ text, want string }{
		{"alice", "uids 0:100000:65536 65536:200000:1000, gids 0:300000:65536"},
		{"1000", "uids 0:100000:65536 65536:200000:1000, gids 0:300000:65536"},
		{"alice:staff", "uids 0:100000:65536 65536:200000:1000, gids 0:400000:10 10:500000:5"},
		{"1000:50", "uids 0:100000:65536 65536:200000:1000, gids 0:400000:10 10:500000:5"},
	} {
		m, changed, err := host(t, subuid, subgid).Remap(c.text)
		assert.NilError(t, err, c.text)
		assert.Equal(t, m.String(), c.want, c.text)
		assert.Equal(t, len(changed), 0)
	}
	// Root's own ids are no other ones, and nothing is nothing.
	for _, text := range []string{"", "root", "0"} {
		m, _, err := host(t, subuid, subgid).Remap(text)
		assert.NilError(t, err)
		assert.Assert(t, m.IsZero())
	}
}

func TestRemapRefusesWhatIsNotThere(t *testing.T) {
	const good = "alice:100000:65536\n"
	for _, c := range []struct{ text, subuid, subgid, want string }{
		{"bob", good, good, `there is no user "bob" on this host`},
		{"4242", good, good, `there is no user "4242" on this host`},
		{"alice:bobs", good, good, `there is no group "bobs" on this host`},
		{"1234", good, good, `there is no group "1234" on this host`},
		{"alice:", good, good, `"alice:" is none of default, USER, USER:GROUP, UID, UID:GID`},
		{"alice:staff:x", good, good, `"alice:staff:x" is none of`},
		{"alice:staff", good, good, `subgid has no ids for "staff"`},
		{"alice", "bob:1:2\n", good, `subuid has no ids for "alice"`},
		{"alice", "alice:100000\n", good, `subuid, line 1: not NAME:FIRST:COUNT`},
		{"alice", "alice:100000:0\n", good, `subuid, line 1: not NAME:FIRST:COUNT`},
		{"alice", "bob:5:5\nalice:4294967290:10\n", good, `subuid, line 2: not NAME:FIRST:COUNT`},
		{"alice", "alice:-1:5\n", good, `subuid, line 1: not NAME:FIRST:COUNT`},
		{"alice", "alice:0:65536\n", good, `subuid gives "alice" the host's root`},
		{"alice", "alice:100000:65536\nalice:100010:5\n", good, `ranges of ids overlap`},
	} {
		_, _, err := host(t, c.subuid, c.subgid).Remap(c.text)
		assert.ErrorContains(t, err, c.want, c.text)
		assert.Assert(t, strings.HasPrefix(err.Error(), "userns-remap: "), err)
		assert.Assert(t, errdefs.IsInvalidArgument(err), c.text)
	}
}

func TestFreeRangeIsNobodys(t *testing.T) {
	for _, c := range []struct {
		taken []subIDs
		want  uint32
	}{
		{nil, 100000},
		{[]subIDs{{"a", 100000, 65536}}, 165536},
		{[]subIDs{{"b", 165536, 65536}, {"a", 100000, 65536}}, 231072},
		{[]subIDs{{"a", 1000, 10}}, 100000},
		{[]subIDs{{"a", 99000, 2000}}, 101000},
		{[]subIDs{{"a", 165535, 10}}, 165545},
		{[]subIDs{{"a", 165536, 10}}, 100000},
	} {
		got, err := freeRange(c.taken)
		assert.NilError(t, err)
		assert.Equal(t, got, c.want, "%v", c.taken)
	}
	_, err := freeRange([]subIDs{{"a", 100000, 2147483647}})
	assert.ErrorContains(t, err, "no ids are free")
}

func TestCheckRefusesWhatTheKernelWould(t *testing.T) {
	whole := []Range{{0, 100000, 65536}}
	for _, bad := range [][]Range{
		nil, {{0, 100000, 0}}, {{5, 100000, 10}}, {{0, 100000, 10}, {5, 200000, 10}}, {{0, 100000, 10}, {10, 100009, 10}},
		{{0, 4294967290, 10}}, {{4294967290, 0, 10}},
	} {
		assert.Assert(t, Map{bad, whole}.Check() != nil, "%v", bad)
		assert.Assert(t, Map{whole, bad}.Check() != nil, "%v", bad)
	}
	assert.NilError(t, Map{whole, whole}.Check())
}

func TestFirstGIDsHaveNoGap(t *testing.T) {
	for _, c := range []struct {
		ranges []Range
		want   uint32
	}{{nil, 0}, {[]Range{{0, 7, 10}}, 10}, {[]Range{{10, 50, 10}, {0, 7, 10}}, 20}, {[]Range{{0, 7, 10}, {11, 50, 10}}, 10}} {
		assert.Equal(t, Map{GIDs: c.ranges}.FirstGIDs(), c.want)
	}
}

func TestNamespaceHasTheMap(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := Map{UIDs: []Range{{0, 100000, 10}, {10, 200000, 5}}, GIDs: []Range{{0, 300000, 10}}}
	f, err := m.Namespace()
	assert.NilError(t, err)
	again, err := m.Namespace()
	assert.NilError(t, err)
	assert.Equal(t, f, again)
	var st unix.Stat_t
	assert.NilError(t, unix.Fstat(int(f.Fd()), &st))
	var ours unix.Stat_t
	assert.NilError(t, unix.Stat("/proc/self/ns/user", &ours))
	assert.Assert(t, st.Ino != ours.Ino)
	own, err := OfProcess(os.Getpid())
	assert.NilError(t, err)
	assert.Assert(t, own.IsZero(), own)
}

func TestAsRootMakesFilesOfTheContainersRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := Map{UIDs: []Range{{0, 100000, 10}}, GIDs: []Range{{0, 300000, 10}}}
	dir := t.TempDir() // which is ours: only the capabilities let the other one in
	path := filepath.Join(dir, "f")
	assert.NilError(t, m.AsRoot(func() error { return os.WriteFile(path, nil, 0o600) }))
	var st unix.Stat_t
	assert.NilError(t, unix.Stat(path, &st))
	assert.Equal(t, st.Uid, uint32(100000))
	assert.Equal(t, st.Gid, uint32(300000))
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "g"), nil, 0o600))
	assert.NilError(t, unix.Stat(filepath.Join(dir, "g"), &st))
	assert.Equal(t, st.Uid, uint32(0), "other threads keep their ids")
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	assert.NilError(t, err)
	assert.Equal(t, dumpable, 1)

	defer func() { assert.Equal(t, recover(), "thrown") }()
	_ = m.AsRoot(func() error { panic("thrown") })
}

func FuzzSubIDs(f *testing.F) {
	f.Add([]byte("alice:100000:65536\n#x\n\n50:1:2"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseSubIDs("subuid", text)
		if err != nil {
			return
		}
		for _, l := range list {
			if l.owner == "" || l.count == 0 || uint64(l.first)+uint64(l.count) > 1<<32-1 {
				t.Errorf("%q gives %+v", text, l)
			}
		}
	})
}
