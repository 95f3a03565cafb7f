package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// IsFull tells whether an error says that there is no space left.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// RewriteJSON is WriteJSON for those who free space or note what has happened
// anyway: on a full disk it writes over the record that is there, as far as the
// blocks of that one reach. A record fits into one page, which a kill does not
// tear; a power cut may, and then the record is damaged and told as such.
func RewriteJSON(fsys FS, path string, v any, perm fs.FileMode) error {
	return rewriteJSON(fsys, path, v, perm, true)
}

// RewriteJSONUnsynced is RewriteJSON that does not wait for the disk where it need
// not: after a power cut the record is the new one or the one that was there, whole.
func RewriteJSONUnsynced(fsys FS, path string, v any, perm fs.FileMode) error {
	return rewriteJSON(fsys, path, v, perm, false)
}

func rewriteJSON(fsys FS, path string, v any, perm fs.FileMode, sync bool) error {
	data, err := encode(v)
	if err != nil {
		return err
	}
	full := writeAs(fsys, path, data, perm, sync || !keepsOrder(path), sync)
	if !IsFull(full) {
		return full
	}
	if err := overwrite(fsys, path, data, sync); err != nil {
		return full // this is what is to be cured
	}
	return nil
}

// keepsOrder tells whether the file system of path writes out a file's data before a
// rename puts it in the place of another: ext4 (auto_da_alloc) and btrfs do, xfs
// leaves an empty file after a power cut. What is in memory has no power cuts.
func keepsOrder(path string) bool {
	var st unix.Statfs_t
	if unix.Statfs(filepath.Dir(path), &st) != nil {
		return false
	}
	switch st.Type {
	case unix.EXT4_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return true
	}
	return false
}

// overwrite needs no new block. Spaces after a record mean nothing.
func overwrite(fsys FS, path string, data []byte, sync bool) error {
	st, err := fsys.Lstat(path)
	if err != nil {
		return err
	}
	room := st.Size()
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		room = max(room, sys.Blocks*512)
	}
	if !st.Mode().IsRegular() || int64(len(data)) > room {
		return fmt.Errorf("%s has no room for %d bytes", filepath.Base(path), len(data))
	}
	if pad := st.Size() - int64(len(data)); pad > 0 {
		data = append(data, bytes.Repeat([]byte{' '}, int(pad))...)
	}
	f, err := fsys.Overwrite(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
