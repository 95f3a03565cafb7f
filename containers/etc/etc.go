package etc

import (
	"io"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/moby/moby/api/types/network"
	"golang.org/x/sys/unix"
)

// Container is what the files of one container are made of.
type Container struct {
	Dir                  string // where its files lie
	Hostname, Domainname string
	HostNetwork          bool                                 // it is in the host's
	Networks             map[string]*network.EndpointSettings // that it is connected to now, by name
	ExtraHosts           []string                             // NAME:ADDRESS, as the user wants them
	Gateways             func() ([]netip.Addr, error)         // what the address host-gateway stands for
	Links                []string                             // lines of hosts for links
	DNS                  DNS                                  // as the user wants it
	Defaults             DNS                                  // for what the user does not say
}

// A File is one of those that the engine writes.
type File struct {
	Name    string // in the container's folder
	Target  string // in the container
	content func(Container) ([]byte, error)
	refresh func(Container) error // of what is there; nil: it stays as it is
}

// Files are all of them.
var Files = [...]File{
	{"resolv.conf", "/etc/resolv.conf", Container.newResolvConf, Container.RefreshResolvConf},
	{"hostname", "/etc/hostname", Container.hostname, nil},
	{"hosts", "/etc/hosts", Container.hosts, Container.RefreshHosts},
}

// Write makes the files that are not there yet and brings the others up to date. They belong to uid and
// gid, the container's root.
func (c Container) Write(uid, gid int) error {
	for _, f := range Files {
		path := c.path(f.Name)
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if os.IsExist(err) {
			// The daemon may have got other ids for user namespaces since.
			if err := giveTo(path, uid, gid); err != nil {
				return err
			}
			if f.refresh != nil {
				if err := f.refresh(c); err != nil {
					return err
				}
			}
			continue
		}
		if err != nil {
			return err
		}
		text, err := f.content(c)
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
			return err
		}
	}
	return nil
}

func (c Container) path(name string) string { return filepath.Join(c.Dir, name) }

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

func (c Container) hostname() ([]byte, error) {
	return []byte(c.Hostname + "\n"), nil
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
