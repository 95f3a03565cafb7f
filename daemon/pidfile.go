package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// pidFile is an open and locked file with our process id. The lock says who is
// alive, not the number in it: a file that a killed daemon left is taken over.
type pidFile struct{ f *os.File }

func writePidFile(path string) (*pidFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		text := make([]byte, 32)
		n, _ := f.ReadAt(text, 0)
		f.Close()
		return nil, fmt.Errorf("pid file %s belongs to a running daemon with pid %s", path, strings.TrimSpace(string(text[:n])))
	}
	// On a full disk the number may be missing; the lock is what counts.
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return &pidFile{f}, nil
}

func (p *pidFile) remove() {
	_ = os.Remove(p.f.Name())
	_ = p.f.Close()
}
