package containers

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/containers/request"
	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/graphdriver"
)

// The files of a container's /etc that the engine writes. They lie in the
// container's folder and are bound into it; one that is there already is left
// alone, so that a user's edits outlive a restart.
var etcFiles = [...]struct {
	name, target string
	content      func(*Containers, *Snapshot) []byte
}{
	{"resolv.conf", "/etc/resolv.conf", (*Containers).resolvConf},
	{"hostname", "/etc/hostname", (*Containers).hostname},
	{"hosts", "/etc/hosts", (*Containers).hosts},
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
			if f.name == "hosts" {
				if err := c.refreshHosts(s); err != nil {
					return nil, err
				}
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		_, err = file.Write(f.content(c, s))
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

func (c *Containers) hostname(s *Snapshot) []byte { return []byte(s.Config.Hostname + "\n") }

// hosts is the host's own with its network, else what a container needs to find itself.
func (c *Containers) hosts(s *Snapshot) []byte {
	var b bytes.Buffer
	if s.HostConfig.NetworkMode.IsHost() {
		b.Write(hostFile("/etc/hosts"))
	} else {
		b.WriteString("127.0.0.1\tlocalhost\n" +
			"::1\tlocalhost ip6-localhost ip6-loopback\n" +
			"fe00::0\tip6-localnet\n" +
			"ff00::0\tip6-mcastprefix\n" +
			"ff02::1\tip6-allnodes\n" +
			"ff02::2\tip6-allrouters\n")
	}
	for _, h := range s.HostConfig.ExtraHosts {
		if name, addr, ok := request.CutExtraHost(h); ok {
			fmt.Fprintf(&b, "%s\t%s\n", addr, name)
		}
	}
	b.WriteString(strings.Join(c.ownHosts(s), ""))
	return b.Bytes()
}

// ownHosts are the lines by which a container finds itself.
func (c *Containers) ownHosts(s *Snapshot) []string {
	var lines []string
	for _, a := range c.addresses(s) {
		lines = append(lines, a.String()+"\t"+strings.Join(hostNames(s), " ")+"\n")
	}
	return lines
}

func hostNames(s *Snapshot) []string {
	if s.Config.Domainname != "" {
		return []string{s.Config.Hostname + "." + s.Config.Domainname, s.Config.Hostname}
	}
	return []string{s.Config.Hostname}
}

// refreshHosts puts the lines of now in the place of those of an earlier run; what the user
// wrote stays. The file is changed in place, since it is mounted.
func (c *Containers) refreshHosts(s *Snapshot) error {
	path := c.path(s.ID, "hosts")
	old, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for line := range strings.Lines(string(old)) {
		if words := strings.Fields(line); len(words) < 2 || !slices.Equal(words[1:], hostNames(s)) || isLoopback(words[0]) {
			b.WriteString(line)
		}
	}
	b.WriteString(strings.Join(c.ownHosts(s), ""))
	if bytes.Equal(b.Bytes(), old) {
		return nil
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func isLoopback(text string) bool {
	a, err := netip.ParseAddr(text)
	return err != nil || a.IsLoopback()
}

// resolvConf is the host's, with what the user says in place of it.
func (c *Containers) resolvConf(s *Snapshot) []byte {
	hc := s.HostConfig
	host := hostFile("/etc/resolv.conf")
	ownStack := len(c.addresses(s)) > 0
	if len(hc.DNS) == 0 && len(hc.DNSSearch) == 0 && len(hc.DNSOptions) == 0 && !ownStack {
		return host
	}
	var servers, search, options []string
	for _, line := range strings.Split(string(host), "\n") {
		switch words := strings.Fields(line); {
		case len(words) < 2:
		case words[0] == "nameserver":
			servers = append(servers, words[1])
		case words[0] == "search" || words[0] == "domain":
			search = words[1:]
		case words[0] == "options":
			options = append(options, words[1:]...)
		}
	}
	if ownStack {
		// The host's loopback is not the container's.
		servers = slices.DeleteFunc(servers, isLoopback)
		if len(servers) == 0 {
			servers = []string{"8.8.8.8", "8.8.4.4"} // docker's choice
		}
	}
	if len(hc.DNS) > 0 {
		servers = nil
		for _, a := range hc.DNS {
			servers = append(servers, netip.Addr.String(a))
		}
	}
	if len(hc.DNSSearch) > 0 {
		search = hc.DNSSearch
		if len(search) == 1 && search[0] == "." {
			search = nil
		}
	}
	if len(hc.DNSOptions) > 0 {
		options = hc.DNSOptions
	}
	var b bytes.Buffer
	if len(search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	}
	for _, a := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", a)
	}
	if len(options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(options, " "))
	}
	return b.Bytes()
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
