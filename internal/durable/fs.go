package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/jobengine/engine/internal/errs"
)

// FS is the part of a file system that records need. Paths are the system's
// own. Errors are those of package os: fs.ErrNotExist and so on.
type FS interface {
	// Mkdir makes one folder.
	Mkdir(path string, perm fs.FileMode) error
	// Create makes a file that must not exist and opens it for writing.
	Create(path string, perm fs.FileMode) (File, error)
	// Append opens a file for writing at its end and makes it if missing.
	Append(path string, perm fs.FileMode) (File, error)
	// Overwrite opens a file that is there for writing over it from its begin.
	Overwrite(path string) (File, error)
	// Open opens a regular file for reading. Anything else in its place, also a
	// symlink, is damage: errdefs.ErrDataLoss.
	Open(path string) (ReadFile, error)
	// ReadDir lists a folder, sorted by name.
	ReadDir(path string) ([]fs.DirEntry, error)
	// Lstat describes what is there without following a symlink.
	Lstat(path string) (fs.FileInfo, error)
	// Rename puts old in the place of new.
	Rename(old, new string) error
	// Link gives a file a second name, which must not exist.
	Link(old, new string) error
	// Remove removes a file or an empty folder.
	Remove(path string) error
	// RemoveAll removes a tree; an absent one is no error.
	RemoveAll(path string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(path string) error
}

// File is a file that is being written.
type File interface {
	io.Writer
	io.Closer
	Sync() error
}

// ReadFile is a file that is being read.
type ReadFile interface {
	io.Reader
	io.ReaderAt
	io.Seeker
	io.Closer
	Stat() (fs.FileInfo, error)
}

// OS is the real file system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) Mkdir(path string, perm fs.FileMode) error  { return os.Mkdir(path, perm) }
func (osFS) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }
func (osFS) Lstat(path string) (fs.FileInfo, error)     { return os.Lstat(path) }
func (osFS) Rename(old, new string) error               { return os.Rename(old, new) }
func (osFS) Link(old, new string) error                 { return os.Link(old, new) }
func (osFS) Remove(path string) error                   { return os.Remove(path) }
func (osFS) RemoveAll(path string) error                { return os.RemoveAll(path) }

func (osFS) Create(path string, perm fs.FileMode) (File, error) {
	return openFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, perm)
}

func (osFS) Append(path string, perm fs.FileMode) (File, error) {
	return openFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, perm)
}

func (osFS) Overwrite(path string) (File, error) {
	return openFile(path, os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// openFile keeps a nil *os.File out of the interface.
func openFile(path string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osFS) Open(path string) (ReadFile, error) {
	// Non-blocking, because a record that someone replaced by a FIFO must not
	// hang the start.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, errs.DataLoss("%s is damaged: it is a symlink", path)
	}
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errs.DataLoss("%s is damaged: not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (osFS) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // some file systems cannot sync folders
		return err
	}
	return nil
}
