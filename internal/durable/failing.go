package durable

import (
	"io/fs"
	"sync"
)

// Failing is a file system for tests whose calls begin to fail. Calls on its
// files count too: Write, Sync, Close and reads.
type Failing struct {
	FS
	mu     sync.Mutex
	calls  int
	at     int
	once   bool
	err    error
	failed bool
}

// FailFrom lets the n-th call (from 1) on fsys and all later ones fail with
// err: what is on the disk then is what a process that died in the n-th call
// leaves behind. A Write that fails has written half of its data.
func FailFrom(fsys FS, n int, err error) *Failing {
	return &Failing{FS: fsys, at: n, err: err}
}

// FailOnce lets only the n-th call (from 1) fail, as a disk does that was full
// for a moment.
func FailOnce(fsys FS, n int, err error) *Failing {
	return &Failing{FS: fsys, at: n, err: err, once: true}
}

// Failed tells whether any call has failed yet.
func (f *Failing) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// Calls is the number of calls so far.
func (f *Failing) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *Failing) call() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.calls == f.at || (f.calls > f.at && !f.once) {
		f.failed = true
		return f.err
	}
	return nil
}

// Each of the following is a call that may fail.

func (f *Failing) Mkdir(path string, perm fs.FileMode) error {
	if err := f.call(); err != nil {
		return err
	}
	return f.FS.Mkdir(path, perm)
}

func (f *Failing) Create(path string, perm fs.FileMode) (File, error) {
	if err := f.call(); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(path, perm)
	if err != nil {
		return nil, err
	}
	return failingFile{file, f}, nil
}

func (f *Failing) Append(path string, perm fs.FileMode) (File, error) {
	if err := f.call(); err != nil {
		return nil, err
	}
	file, err := f.FS.Append(path, perm)
	if err != nil {
		return nil, err
	}
	return failingFile{file, f}, nil
}

func (f *Failing) Overwrite(path string) (File, error) {
	if err := f.call(); err != nil {
		return nil, err
	}
	file, err := f.FS.Overwrite(path)
	if err != nil {
		return nil, err
	}
	return failingFile{file, f}, nil
}

func (f *Failing) Open(path string) (ReadFile, error) {
	if err := f.call(); err != nil {
		return nil, err
	}
	file, err := f.FS.Open(path)
	if err != nil {
		return nil, err
	}
	return failingRead{file, f}, nil
}

func (f *Failing) ReadDir(path string) ([]fs.DirEntry, error) {
	if err := f.call(); err != nil {
		return nil, err
	}
	return f.FS.ReadDir(path)
}

func (f *Failing) Lstat(path string) (fs.FileInfo, error) {
	if err := f.call(); err != nil {
		return nil, err
	}
	return f.FS.Lstat(path)
}

func (f *Failing) Rename(old, new string) error {
	if err := f.call(); err != nil {
		return err
	}
	return f.FS.Rename(old, new)
}

func (f *Failing) Link(old, new string) error {
	if err := f.call(); err != nil {
		return err
	}
	return f.FS.Link(old, new)
}

func (f *Failing) Remove(path string) error {
	if err := f.call(); err != nil {
		return err
	}
	return f.FS.Remove(path)
}

func (f *Failing) RemoveAll(path string) error {
	if err := f.call(); err != nil {
		return err
	}
	return f.FS.RemoveAll(path)
}

func (f *Failing) SyncDir(path string) error {
	if err := f.call(); err != nil {
		return err
	}
	return f.FS.SyncDir(path)
}

type failingFile struct {
	File
	fs *Failing
}

func (f failingFile) Write(p []byte) (int, error) {
	if err := f.fs.call(); err != nil {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, err
	}
	return f.File.Write(p)
}

func (f failingFile) Sync() error {
	if err := f.fs.call(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f failingFile) Close() error {
	err := f.fs.call()
	if cerr := f.File.Close(); err == nil {
		err = cerr
	}
	return err
}

type failingRead struct {
	ReadFile
	fs *Failing
}

func (f failingRead) Read(p []byte) (int, error) {
	if err := f.fs.call(); err != nil {
		return 0, err
	}
	return f.ReadFile.Read(p)
}

func (f failingRead) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.call(); err != nil {
		return 0, err
	}
	return f.ReadFile.ReadAt(p, off)
}
