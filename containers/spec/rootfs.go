package spec

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
)

// maxAccounts and maxAccountLines bound what is read of an image's passwd and
// group: such files have a few kilobytes, and an image may have one that never
// ends. Each line that is parsed takes some hundred bytes more than it has.
const (
	maxAccounts     = 2 << 20
	maxAccountLines = 1 << 15
)

func asPathError(err error, target **fs.PathError) bool { return errors.As(err, target) }

// MakeCwd makes the folder in which a container starts, if it is not there, as
// the container would see it: links of the image lead nowhere outside, also
// those that point to nothing yet. What is there and no folder is of the class
// invalid. Nothing may run in the container, and its mounts are not made yet.
func MakeCwd(root, path string) error {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: root, Err: err}
	}
	defer func() { unix.Close(dir) }()
	fd, err := unix.Openat2(dir, path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err == nil {
		return unix.Close(fd)
	}
	notFolder := errs.Invalid("Cannot mkdir: %s is not a directory", path)
	if errors.Is(err, unix.ENOTDIR) {
		return notFolder
	}
	full, err := securejoin.SecureJoin(root, path)
	if err != nil {
		return errs.Invalid("Cannot mkdir: %s: %v", path, err)
	}
	for name := range strings.SplitSeq(strings.Trim(strings.TrimPrefix(full, root), "/"), "/") {
		if err := unix.Mkdirat(dir, name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return &fs.PathError{Op: "mkdir", Path: path, Err: err}
		}
		next, err := unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			return notFolder
		} else if err != nil {
			return &fs.PathError{Op: "open", Path: path, Err: err}
		}
		unix.Close(dir)
		dir = next
	}
	return nil
}

// readInRoot reads a file of a container's root as the container would see it:
// links lead nowhere outside, and what is no regular file is not read. A missing
// file is empty. Of a file beyond the bounds the whole lines within them are read.
func readInRoot(root, path string) ([]byte, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: root, Err: err}
	}
	defer unix.Close(dir)
	// O_NONBLOCK: opening a FIFO must not wait for a writer.
	fd, err := unix.Openat2(dir, path, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		// Missing, a loop of links, a socket: there is no such list in the image.
		return nil, nil
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, nil
	}
	text, err := io.ReadAll(io.LimitReader(f, maxAccounts+1))
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	if len(text) > maxAccounts {
		text = text[:bytes.LastIndexByte(text[:maxAccounts], '\n')+1]
	}
	return firstLines(text, maxAccountLines), nil
}

func firstLines(text []byte, n int) []byte {
	end := 0
	for ; n > 0; n-- {
		i := bytes.IndexByte(text[end:], '\n')
		if i < 0 {
			return text
		}
		end += i + 1
	}
	return text[:end]
}
