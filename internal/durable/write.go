package durable

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// What is not yet, or not any more, part of a store has one of these prefixes.
const (
	writingPrefix  = ".new-"
	removingPrefix = ".gone-"
)

// WriteFile puts data in the place of the file at path, durably: when it
// returns nil, the new content survives a power cut; when it fails, the old
// one is there unchanged, except that after a failed last fsync of the folder
// it may be either.
func WriteFile(fsys FS, path string, data []byte, perm fs.FileMode) error {
	return write(fsys, path, data, perm, true)
}

// WriteFileUnsynced is WriteFile without the fsyncs: it survives the end of
// the process, not that of the machine.
func WriteFileUnsynced(fsys FS, path string, data []byte, perm fs.FileMode) error {
	return write(fsys, path, data, perm, false)
}

func write(fsys FS, path string, data []byte, perm fs.FileMode, sync bool) error {
	return writeAs(fsys, path, data, perm, sync, sync)
}

// writeAs syncs the data before they get their name, and the name, if told so.
func writeAs(fsys FS, path string, data []byte, perm fs.FileMode, syncData, syncName bool) error {
	dir := filepath.Dir(path)
	temp := TempName(dir)
	f, err := fsys.Create(temp, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && syncData {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(temp, path)
	}
	if err != nil {
		_ = fsys.Remove(temp) // Sweep gets it otherwise
		return fmt.Errorf("write %s: %w", path, err)
	}
	if syncName {
		return fsys.SyncDir(dir)
	}
	return nil
}

// WriteNew writes a file that must not exist, and syncs it but not the folder:
// for the content of a folder that is synced and published as a whole.
func WriteNew(fsys FS, path string, data []byte, perm fs.FileMode) error {
	f, err := fsys.Create(path, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// MkdirAll makes a folder and the missing ones above it, durably.
func MkdirAll(fsys FS, path string, perm fs.FileMode) error {
	return mkdirAll(fsys, filepath.Clean(path), perm, true)
}

// MkdirAllUnsynced is MkdirAll without the fsyncs.
func MkdirAllUnsynced(fsys FS, path string, perm fs.FileMode) error {
	return mkdirAll(fsys, filepath.Clean(path), perm, false)
}

func mkdirAll(fsys FS, path string, perm fs.FileMode, sync bool) error {
	err := fsys.Mkdir(path, perm)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) != path {
		if err := mkdirAll(fsys, filepath.Dir(path), perm, sync); err != nil {
			return err
		}
		err = fsys.Mkdir(path, perm)
	}
	if errors.Is(err, fs.ErrExist) {
		if st, serr := fsys.Lstat(path); serr == nil && !st.IsDir() && st.Mode()&fs.ModeSymlink == 0 {
			return err
		}
		return nil
	}
	if err != nil {
		return err
	}
	if sync {
		return fsys.SyncDir(filepath.Dir(path))
	}
	return nil
}

// Remove removes a file or an empty folder, durably. An absent one is no error.
func Remove(fsys FS, path string) error {
	if err := fsys.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}

// RemoveTree removes a folder with all that is in it, durably and in one
// instant: a kill in the middle leaves it whole or gone, with a rest that
// Sweep removes. An absent one is no error. It works on a full disk.
func RemoveTree(fsys FS, path string) error { return removeTree(fsys, path, true) }

// RemoveTreeUnsynced is RemoveTree without the fsync: after a power cut the
// folder may be back.
func RemoveTreeUnsynced(fsys FS, path string) error { return removeTree(fsys, path, false) }

func removeTree(fsys FS, path string, sync bool) error {
	dir := filepath.Dir(path)
	gone := filepath.Join(dir, removingPrefix+random())
	err := fsys.Rename(path, gone)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case IsFull(err):
		// Not even a name can be had: then it goes piece by piece.
		if err := fsys.RemoveAll(path); err != nil || !sync {
			return err
		}
		return fsys.SyncDir(dir)
	case err != nil:
		return err
	}
	if sync {
		if err := fsys.SyncDir(dir); err != nil {
			return err
		}
	}
	return fsys.RemoveAll(gone)
}

// Publish gives what was made at temp its real name, durably. Both are in the
// same file system; temp is best a TempName of the same folder. The content
// was synced by the caller. A folder must not be there already.
func Publish(fsys FS, temp, path string) error {
	if err := fsys.Rename(temp, path); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}

// TempName gives an unused path in dir for something that is being made there;
// Sweep removes it if it is never published.
func TempName(dir string) string { return filepath.Join(dir, writingPrefix+random()) }

// Sweep removes from a folder what killed writes and removals have left. It is
// called at start, when nobody writes there. An absent folder is no error.
func Sweep(fsys FS, dir string) error {
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if IsLeftover(e.Name()) {
			err = errors.Join(err, fsys.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// IsLeftover tells whether a name in a folder is not, or not any more, part of
// the store: whoever lists the folder skips it.
func IsLeftover(name string) bool {
	return strings.HasPrefix(name, writingPrefix) || strings.HasPrefix(name, removingPrefix)
}

func random() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	return hex.EncodeToString(b[:])
}
