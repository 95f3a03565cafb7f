package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jobengine/engine/internal/errs"
)

// DirLock is a folder that belongs to this process alone.
type DirLock struct{ dir *os.File }

// ownerFile has the pid of the lock's owner, for the message only: the lock
// itself is on the open folder, so that it needs no space and no clean-up.
const ownerFile = "owner.pid"

// Lock takes a folder for this process until Unlock or the process ends. When
// another one has it, the error is a conflict that names the other's pid.
// It works on a full or read-only file system.
func Lock(dir string) (*DirLock, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	path := filepath.Join(dir, ownerFile)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		d.Close()
		return nil, errs.Conflict("%s is in use by another process (pid %s)", dir, ownerOf(path))
	case err != nil:
		d.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	_ = WriteFileUnsynced(OS, path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644)
	return &DirLock{d}, nil
}

// Unlock gives the folder back.
func (l *DirLock) Unlock() error {
	_ = os.Remove(filepath.Join(l.dir.Name(), ownerFile))
	return l.dir.Close()
}

func ownerOf(path string) string {
	data, err := Read(OS, path)
	if pid, perr := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && perr == nil {
		return strconv.Itoa(pid)
	}
	return "unknown"
}
