package archive

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

// defaultACL is an attribute by which a folder gives user 7 rights in all that is made in it, and
// everybody else none (linux/posix_acl_xattr.h).
func defaultACL() string {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, 7, 1<<32 - 1}, {0x02, 7, 7}, {0x04, 5, 1<<32 - 1}, {0x10, 7, 1<<32 - 1}, {0x20, 0, 1<<32 - 1}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return string(b)
}

// What the entries say counts, whatever the process and the folders that they are made in would pass on.
func TestUnpackSetsOwnersAndModesWhateverIsInherited(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	probe := filepath.Join(root, "probe")
	assert.NilError(t, unix.Mkdir(probe, 0o755))
	hasACL := unix.Setxattr(probe, "system.posix_acl_default", []byte(defaultACL()), 0) == nil
	items := []item{
		reg("early/f", "x"), // its folder is made before it has an entry
		fold("early").mode(0o2710).owner(3, 4),
		reg("early/late", "x"),
		fold("group").mode(0o2775).owner(0, 50),
		reg("group/f", "x").mode(0o664),
		fold("group/d").mode(0o755),
		fold("group/s").mode(0o2755).owner(0, 50),
		reg("group/s/own", "x").owner(1000, 1000),
		reg("group/set", "x").mode(0o4755).owner(1000, 50),
		reg("group/setgid", "x").mode(0o2755).owner(0, 50),
		fold("acl").xattr("system.posix_acl_default", defaultACL()),
		reg("acl/open", "x").mode(0o666),
		reg("acl/closed", "x").mode(0o600),
		fold("acl/d").mode(0o1777),
		reg("none", "x").mode(0),
		fold("nothing").mode(0),
		reg("nothing/all", "x").mode(0o7777).owner(1, 1),
		fold("twice").owner(5, 6), reg("twice/f", "x"), fold("twice"), // the later one counts
	}
	want := map[string]item{}
	for _, i := range items {
		if !hasACL {
			i.PAXRecords = nil
		}
		want[i.Name] = i
	}
	for kind, o := range map[string]UnpackOptions{"plain": {}, "apply": {Whiteouts: Apply}, "overlay": {Whiteouts: Overlay}} {
		dir := filepath.Join(root, kind)
		assert.NilError(t, unix.Mkdir(dir, 0o2755))
		assert.NilError(t, unix.Chown(dir, 0, 77)) // the root passes its group on, too
		assert.NilError(t, unix.Chmod(dir, 0o2755))
		_, err := unpack(t, dir, pack(items...), o)
		assert.NilError(t, err)
		for name, i := range want {
			st := stat(t, filepath.Join(dir, name))
			assert.Equal(t, fmt.Sprintf("%o %d:%d %d", st.Mode&0o7777, st.Uid, st.Gid, st.Mtim.Sec),
				fmt.Sprintf("%o %d:%d %d", i.Mode, i.Uid, i.Gid, then.Unix()), "%s: %s", kind, name)
		}
	}
}
