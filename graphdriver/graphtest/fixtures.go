package graphtest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// entry is one entry of a tar: a header and the content of a file.
type entry struct {
	tar.Header
	content string
}

var then = time.Unix(1_500_000_000, 0)

func file(name, content string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: then}, content}
}

func folder(name string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: then}}
}

func symlink(name, target string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777, ModTime: then}}
}

func hardlink(name, target string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, ModTime: then}}
}

func (e entry) mode(mode int64) entry { e.Mode = mode; return e }

func (e entry) owner(uid, gid int) entry { e.Uid, e.Gid = uid, gid; return e }

func (e entry) xattr(name, value string) entry {
	e.PAXRecords = map[string]string{"SCHILY.xattr." + name: value}
	return e
}

func tarBytes(entries ...entry) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		e.Format = tar.FormatPAX
		if err := w.WriteHeader(&e.Header); err != nil {
			panic(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

func tarOf(entries ...entry) io.Reader { return bytes.NewReader(tarBytes(entries...)) }

// listing gives a line for each entry of a tree, sorted. Without detail it has
// the path, "/" behind folders, "-> target" of links and "= content" of files;
// with detail, also mode, owner, time of files and user attributes, and the
// contents as hashes.
func listing(root string, detail bool) []string {
	var lines []string
	first := map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if rel == "." && !detail {
			return nil
		}
		line := rel
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			line += "/"
		case unix.S_IFLNK:
			target, _ := os.Readlink(path)
			line += " -> " + target
		case unix.S_IFREG:
			data, err := os.ReadFile(path)
			if err != nil && !os.IsPermission(err) {
				return err
			}
			if detail {
				line += fmt.Sprintf(" = %x %d", sha256.Sum256(data), st.Mtim.Sec)
			} else {
				line += " = " + string(data)
			}
		default:
			line += fmt.Sprintf(" type %o dev %d", st.Mode&unix.S_IFMT, st.Rdev)
		}
		if detail {
			line += fmt.Sprintf(" mode %o owner %d:%d", st.Mode, st.Uid, st.Gid)
			if st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 {
				if _, ok := first[st.Ino]; !ok {
					first[st.Ino] = rel
				}
				line += " linked with " + first[st.Ino]
			}
			for _, name := range []string{"user.test", "security.capability"} {
				value := make([]byte, 100)
				if n, err := unix.Lgetxattr(path, name, value); err == nil {
					line += fmt.Sprintf(" %s=%q", name, value[:n])
				}
			}
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		lines = append(lines, "error: "+err.Error())
	}
	sort.Strings(lines)
	return lines
}

// mountsBelow gives the mount points below dir.
func mountsBelow(dir string) []string {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return []string{err.Error()}
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	var found []string
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			found = append(found, f[4])
		}
	}
	return found
}
