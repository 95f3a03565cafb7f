package spec

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

// image is a root with these two files.
func image(t *testing.T, passwd, group string) string {
	t.Helper()
	root := t.TempDir()
	assert.NilError(t, os.Mkdir(filepath.Join(root, "etc"), 0o755))
	assert.NilError(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte(passwd), 0o644))
	assert.NilError(t, os.WriteFile(filepath.Join(root, "etc/group"), []byte(group), 0o644))
	return root
}

func TestUsersAreFoundByNameAndNumber(t *testing.T) {
	root := image(t, "root:x:0:0::/root:\nalice:x:1000:1000::/home/alice:\n1000:x:0:0::/evil:\nnohome:x:7:7:::\n",
		"root:x:0:\nalice:x:1000:\nusers:x:100:alice\naudio:x:29:alice,bob\n")
	for _, row := range []struct {
		user     string
		add      []string
		uid, gid uint32
		groups   []uint32
		home     string
	}{
		{"", nil, 0, 0, []uint32{0}, "/root"},
		{"alice", nil, 1000, 1000, []uint32{1000, 100, 29}, "/home/alice"},
		{"1000", nil, 1000, 1000, []uint32{1000, 100, 29}, "/home/alice"},
		{"1000:100", nil, 1000, 100, []uint32{100}, "/home/alice"},
		{"alice:users", nil, 1000, 100, []uint32{100}, "/home/alice"},
		{"77", nil, 77, 0, []uint32{0}, "/"},
		{"77:88", nil, 77, 88, []uint32{88}, "/"},
		{"nohome", nil, 7, 7, []uint32{7}, "/"},
		{"alice", []string{"root", "4711"}, 1000, 1000, []uint32{1000, 100, 29, 0, 4711}, "/home/alice"},
	} {
		got, err := FindUser(root, row.user, row.add)
		assert.NilError(t, err, row.user)
		assert.Equal(t, got.Spec.UID, row.uid, row.user)
		assert.Equal(t, got.Spec.GID, row.gid, row.user)
		assert.DeepEqual(t, got.Spec.AdditionalGids, row.groups)
		assert.Equal(t, got.Home, row.home, row.user)
	}
}

func TestUsersThatAreNoneAreRefused(t *testing.T) {
	root := image(t, "root:x:0:0::/root:\n", "root:x:0:\n")
	for user, text := range map[string]string{
		"nobodyx":                "unable to find user nobodyx: no matching entries in passwd file",
		"root:nogrp":             "unable to find group nogrp: no matching entries in group file",
		"4294967296":             "uids and gids must be in range 0-2147483647",
		"2147483648":             "uids and gids must be in range 0-2147483647",
		"-1":                     "uids and gids must be in range 0-2147483647",
		"0:99999999999999999999": "",
	} {
		got, err := FindUser(root, user, nil)
		assert.Assert(t, err != nil, "%s became %v", user, got.Spec)
		if text != "" {
			assert.Error(t, err, text)
		}
	}
	_, err := FindUser(root, "", []string{"nosuch"})
	assert.ErrorContains(t, err, "no matching entries in group file")
}

// The numbers of named accounts are held to the same range as numbers given.
func TestNumbersOfAccountsDoNotWrapAround(t *testing.T) {
	root := image(t, "large:x:4294967296:0::/:\nminus:x:-1:0::/:\ngroup:x:5:4294967296::/:\nplain:x:5:5::/:\nmember:x:6:6::/:\n",
		"large:x:4294967296:\nminus:x:-1:\nhuge:x:99999999999999999999:member\n")
	for _, name := range []string{"large", "minus", "group", "plain:large", "plain:minus", "member"} {
		got, err := FindUser(root, name, nil)
		assert.ErrorIs(t, err, user.ErrRange, "%s became %v", name, got.Spec)
	}
	for _, group := range []string{"large", "minus", "huge", "4294967296"} {
		got, err := FindUser(root, "plain", []string{group})
		assert.ErrorIs(t, err, user.ErrRange, "%s gave %v", group, got.Spec.AdditionalGids)
	}
}

func TestHostileAccountFilesNeitherHangNorEatMemory(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "passwd")
	assert.NilError(t, os.WriteFile(secret, []byte("mallory:x:4242:4242::/:\n"), 0o644))
	for what, put := range map[string]func(path string) error{
		"a pipe":                 func(p string) error { return unix.Mkfifo(p, 0o644) },
		"a link to /dev/zero":    func(p string) error { return os.Symlink("/dev/zero", p) },
		"a link out of the root": func(p string) error { return os.Symlink(secret, p) },
		"a relative link out":    func(p string) error { return os.Symlink("../../../../../../../.."+secret, p) },
		"a link to itself":       func(p string) error { return os.Symlink("passwd", p) },
		"a folder":               func(p string) error { return os.Mkdir(p, 0o755) },
		"nothing":                func(string) error { return nil },
		"a hole of 2 GB": func(p string) error {
			if err := os.WriteFile(p, nil, 0o644); err != nil {
				return err
			}
			return os.Truncate(p, 2<<30)
		},
		"one line of 32 MB": func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("a"), 32<<20), 0o644) },
		"a million lines": func(p string) error {
			return os.WriteFile(p, []byte(strings.Repeat("u:x:1:1::/:\n", 1<<20)), 0o644)
		},
	} {
		t.Run(what, func(t *testing.T) {
			root := image(t, "", "")
			path := filepath.Join(root, "etc/passwd")
			assert.NilError(t, os.Remove(path))
			assert.NilError(t, put(path))
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, err := FindUser(root, "mallory", nil)
				assert.Check(t, err != nil)
			}()
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				t.Fatal("it hangs")
			}
		})
	}
}

func TestLinksInsideTheRootAreFollowed(t *testing.T) {
	root := image(t, "", "")
	assert.NilError(t, os.MkdirAll(filepath.Join(root, "usr/share"), 0o755))
	assert.NilError(t, os.WriteFile(filepath.Join(root, "usr/share/passwd"), []byte("alice:x:5:5::/:\n"), 0o644))
	assert.NilError(t, os.Remove(filepath.Join(root, "etc/passwd")))
	assert.NilError(t, os.Symlink("/usr/share/passwd", filepath.Join(root, "etc/passwd")))
	got, err := FindUser(root, "alice", nil)
	assert.NilError(t, err)
	assert.Equal(t, got.Spec.UID, uint32(5))
}

func TestTheWorkingFolderIsMadeInsideTheRoot(t *testing.T) {
	outside := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(outside, "canary"), nil, 0o600))
	for path, made := range map[string]string{
		"/a/b/c":          "a/b/c",
		"/a/../b":         "b",
		"/../../c":        "c",
		"/abs/x":          outside + "/x", // as the container sees it
		"/up/x":           "etc/x",
		"/dangling/x/y":   "nothing/yet/x/y",
		"/etc":            "etc",
		"/etc/passwd":     "",
		"/etc/passwd/sub": "",
		"/loop/x":         "",
	} {
		root := image(t, "x", "")
		assert.NilError(t, os.Symlink(outside, filepath.Join(root, "abs")))
		assert.NilError(t, os.Symlink("../../../etc", filepath.Join(root, "up")))
		assert.NilError(t, os.Symlink("/nothing/yet", filepath.Join(root, "dangling")))
		assert.NilError(t, os.Symlink("loop", filepath.Join(root, "loop")))
		err := MakeCwd(root, path)
		if made == "" {
			assert.Check(t, errdefs.IsInvalidArgument(err), "%s: %v", path, err)
		} else if assert.Check(t, err, path) {
			info, err := os.Lstat(filepath.Join(root, made))
			assert.NilError(t, err, path)
			assert.Assert(t, info.IsDir(), path)
		}
		entries, err := os.ReadDir(outside)
		assert.NilError(t, err)
		assert.Equal(t, len(entries), 1, path)
	}
}

func TestOnlySoManyAccountsAreRead(t *testing.T) {
	first := strings.Repeat("u:x:5:5::/:\n", maxAccountLines-1)
	root := image(t, first+"last:x:6:6::/:\nbeyond:x:7:7::/:\n", "")
	_, err := FindUser(root, "last", nil)
	assert.NilError(t, err)
	_, err = FindUser(root, "beyond", nil)
	assert.ErrorContains(t, err, "no matching entries")
}
