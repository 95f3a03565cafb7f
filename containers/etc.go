package containers

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/graphdriver"
)

// The files of a container's /etc that the engine writes. They lie in the
// container's folder and are bound into it. What a user has changed in them
// outlives a restart.
var etcFiles = [...]struct {
	name, target string
	content      func(*Containers, *Snapshot) ([]byte, error)
	refresh      func(*Containers, *Snapshot) error // of what is there; nil: it stays as it is
}{
	{"resolv.conf", "/etc/resolv.conf", (*Containers).newResolvConf, (*Containers).refreshResolvConf},
	{"hostname", "/etc/hostname", (*Containers).hostname, nil},
	{"hosts", "/etc/hosts", (*Containers).hosts, (*Containers).refreshHosts},
}

// etcFilesDone is what came of writeEtc.
type etcFilesDone struct {
	binds []spec.Bind
	err   error
}

// writeEtc makes the files that are not there yet and says where they go. What
// the user binds over one of them takes its place. They belong to the container's root.
func (c *Containers) writeEtc(s *Snapshot, ids graphdriver.IDMap) ([]spec.Bind, error) {
	var binds []spec.Bind
	uid, gid, err := ids.Root()
	if err != nil {
		return nil, err
	}
	owner, err := c.etcOwner(s)
	if err != nil {
		return nil, err
	}
	for _, f := range etcFiles {
		path := c.path(owner.ID, f.name)
		if !mounted(s, f.target) {
			binds = append(binds, spec.Bind{Source: path, Destination: f.target, ReadOnly: s.HostConfig.ReadonlyRootfs})
		}
		if owner != s {
			continue // it has made them
		}
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if os.IsExist(err) {
			// The daemon may have got other ids for user namespaces since.
			if err := giveTo(path, uid, gid); err != nil {
				return nil, err
			}
			if f.refresh != nil {
				if err := f.refresh(c, s); err != nil {
					return nil, err
				}
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		text, err := f.content(c, s)
		if err == nil {
			_, err = file.Write(text)
		}
		if err == nil && (uid != 0 || gid != 0) {
			err = file.Chown(uid, gid)
		}
		if e := file.Close(); err == nil {
			err = e
		}
		if err != nil {
			os.Remove(path)
			return nil, err
		}
	}
	return binds, nil
}

// giveTo changes the owner of a file of ours, if need be.
func giveTo(path string, uid, gid int) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if int(st.Uid) == uid && int(st.Gid) == gid {
		return nil
	}
	return os.Lchown(path, uid, gid)
}

func mounted(s *Snapshot, target string) bool {
	for _, m := range s.Mounts {
		if m.Destination == target {
			return true
		}
	}
	return false
}

func (c *Containers) hostname(s *Snapshot) ([]byte, error) {
	return []byte(s.Config.Hostname + "\n"), nil
}

// hostFile reads a small file of the host; none is empty.
func hostFile(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 1<<20))
	return text
}

// maxEtc bounds what is read of a file that a container may have written to.
const maxEtc = 1 << 20

// readEtc reads one of the files; nil if it is not there, or so large that it is none of ours any more.
func readEtc(path string) ([]byte, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEtc+1))
	if len(text) > maxEtc {
		return nil, err
	}
	return text, err
}

// rewrite puts text into a file that is there, in place, since it is mounted. Nobody sees it empty.
func rewrite(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(text, 0); err == nil {
		err = f.Truncate(int64(len(text)))
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
