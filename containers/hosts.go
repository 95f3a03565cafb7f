package containers

import (
	"bytes"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/jobengine/engine/containers/request"
)

// hosts is the host's own with its network, else what a container needs to find itself.
func (c *Containers) hosts(s *Snapshot) ([]byte, error) {
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
	extra, moving, err := c.extraHosts(s)
	if err != nil {
		return nil, err
	}
	links := c.linkHosts(s)
	if err := c.noteHosts(s, slices.Concat(moving, links)); err != nil {
		return nil, err
	}
	for _, line := range slices.Concat(extra, links, c.ownHosts(s)) {
		b.WriteString(line)
	}
	return b.Bytes(), nil
}

// hostGateway is the word for the addresses of the host.
const hostGateway = "host-gateway"

// extraHosts are the lines that the user wants, and those among them whose addresses are the engine's to say.
func (c *Containers) extraHosts(s *Snapshot) (all, moving []string, err error) {
	for _, h := range s.HostConfig.ExtraHosts {
		name, addr, ok := request.CutExtraHost(h)
		switch {
		case !ok:
		case addr == hostGateway:
			gateways, err := c.networks.HostGateway(s.ID)
			if err != nil {
				return nil, nil, err
			}
			for _, a := range gateways {
				moving = append(moving, a.String()+"\t"+name+"\n")
			}
			all = append(all, moving[len(moving)-len(gateways):]...)
		default:
			all = append(all, addr+"\t"+name+"\n")
		}
	}
	return all, moving, nil
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

// The lines for links and for the host change with their addresses. Those that were written lie beside
// the file, if there are any, so that they are known again.
func (c *Containers) notedHosts(s *Snapshot) string { return c.path(s.ID, "hosts.ours") }

func (c *Containers) noteHosts(s *Snapshot, lines []string) error {
	path := c.notedHosts(s)
	if len(lines) == 0 {
		if err := os.Remove(path); !os.IsNotExist(err) {
			return err
		}
		return nil
	}
	return os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600)
}

// refreshHosts puts the lines of now in the place of those of an earlier run; what the user
// wrote stays. The file is changed in place, since it is mounted.
func (c *Containers) refreshHosts(s *Snapshot) error {
	path := c.path(s.ID, "hosts")
	old, err := readEtc(path)
	if err != nil || old == nil {
		return err
	}
	noted, err := readEtc(c.notedHosts(s))
	if err != nil {
		return err
	}
	written := slices.Collect(strings.Lines(string(noted)))
	_, moving, err := c.extraHosts(s)
	if err != nil {
		return err
	}
	moving = append(moving, c.linkHosts(s)...)
	var b bytes.Buffer
	for line := range strings.Lines(string(old)) {
		words := strings.Fields(line)
		own := len(words) >= 2 && slices.Equal(words[1:], hostNames(s)) && !isLoopback(words[0])
		if !own && !slices.Contains(written, line) {
			b.WriteString(line)
		}
	}
	if b.Len() > 0 && b.Bytes()[b.Len()-1] != '\n' {
		b.WriteByte('\n')
	}
	for _, line := range slices.Concat(moving, c.ownHosts(s)) {
		b.WriteString(line)
	}
	if bytes.Equal(b.Bytes(), old) {
		return nil
	}
	// A kill in between must not make an old line the user's.
	if len(written)+len(moving) > 0 {
		if err := c.noteHosts(s, slices.Concat(moving, written)); err != nil {
			return err
		}
	}
	if err := rewrite(path, b.Bytes()); err != nil {
		return err
	}
	if len(written) > 0 {
		return c.noteHosts(s, moving)
	}
	return nil
}

func isLoopback(text string) bool {
	a, err := netip.ParseAddr(text)
	return err != nil || a.IsLoopback()
}
