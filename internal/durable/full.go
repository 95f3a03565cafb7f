package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
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

// RewriteJSONUnsynced is RewriteJSON without the fsyncs.
func RewriteJSONUnsynced(fsys FS, path string, v any, perm fs.FileMode) error {
	return rewriteJSON(fsys, path, v, perm, false)
}

func rewriteJSON(fsys FS, path string, v any, perm fs.FileMode, sync bool) error {
	data, err := encode(v)
	if err != nil {
		return err
	}
	full := write(fsys, path, data, perm, sync)
	if !IsFull(full) {
		return full
	}
	if err := overwrite(fsys, path, data, sync); err != nil {
		return full // this is what is to be cured
	}
	return nil
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
