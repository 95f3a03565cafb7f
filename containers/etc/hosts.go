package etc

import (
	"bytes"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/jobengine/engine/containers/request"
)

// hosts is the host's own with its network, else what a container needs to find itself.
func (c Container) hosts() ([]byte, error) {
	var b bytes.Buffer
	if c.HostNetwork {
		b.Write(hostFile("/etc/hosts"))
	} else {
		b.WriteString("127.0.0.1\tlocalhost\n" +
			"::1\tlocalhost ip6-localhost ip6-loopback\n" +
			"fe00::0\tip6-localnet\n" +
			"ff00::0\tip6-mcastprefix\n" +
			"ff02::1\tip6-allnodes\n" +
			"ff02::2\tip6-allrouters\n")
	}
	extra, moving, err := c.extraHosts()
	if err != nil {
		return nil, err
	}
	if err := c.noteHosts(slices.Concat(moving, c.Links)); err != nil {
		return nil, err
	}
	for _, line := range slices.Concat(extra, c.Links, c.ownHosts()) {
		b.WriteString(line)
	}
	return b.Bytes(), nil
}

// hostGateway is the word for the addresses of the host.
const hostGateway = "host-gateway"

// extraHosts are the lines that the user wants, and those among them whose addresses are the engine's to say.
func (c Container) extraHosts() (all, moving []string, err error) {
	for _, h := range c.ExtraHosts {
		name, addr, ok := request.CutExtraHost(h)
		switch {
		case !ok:
		case addr == hostGateway:
			gateways, err := c.Gateways()
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
func (c Container) ownHosts() []string {
	var lines []string
	for _, a := range c.addresses() {
		lines = append(lines, a.String()+"\t"+strings.Join(c.hostNames(), " ")+"\n")
	}
	return lines
}

func (c Container) hostNames() []string {
	if c.Domainname != "" {
		return []string{c.Hostname + "." + c.Domainname, c.Hostname}
	}
	return []string{c.Hostname}
}

// addresses of the container on its networks, sorted.
func (c Container) addresses() []netip.Addr {
	var list []netip.Addr
	for _, e := range c.Networks {
		for _, a := range []netip.Addr{e.IPAddress, e.GlobalIPv6Address} {
			if a.IsValid() {
				list = append(list, a)
			}
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return list
}

// The lines for links and for the host change with their addresses. Those that were written lie beside
// the file, if there are any, so that they are known again.
func (c Container) notedHosts() string { return c.path("hosts.ours") }

func (c Container) noteHosts(lines []string) error {
	path := c.notedHosts()
	if len(lines) == 0 {
		if err := os.Remove(path); !os.IsNotExist(err) {
			return err
		}
		return nil
	}
	return os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600)
}

// RefreshHosts puts the lines of now in the place of those of an earlier run; what the user
// wrote stays. The file is changed in place, since it is mounted.
func (c Container) RefreshHosts() error {
	path := c.path("hosts")
	old, err := readEtc(path)
	if err != nil || old == nil {
		return err
	}
	noted, err := readEtc(c.notedHosts())
	if err != nil {
		return err
	}
	written := slices.Collect(strings.Lines(string(noted)))
	_, moving, err := c.extraHosts()
	if err != nil {
		return err
	}
	moving = append(moving, c.Links...)
	var b bytes.Buffer
	for line := range strings.Lines(string(old)) {
		words := strings.Fields(line)
		own := len(words) >= 2 && slices.Equal(words[1:], c.hostNames()) && !isLoopback(words[0])
		if !own && !slices.Contains(written, line) {
			b.WriteString(line)
		}
	}
	if b.Len() > 0 && b.Bytes()[b.Len()-1] != '\n' {
		b.WriteByte('\n')
	}
	for _, line := range slices.Concat(moving, c.ownHosts()) {
		b.WriteString(line)
	}
	if bytes.Equal(b.Bytes(), old) {
		return nil
	}
	// A kill in between must not make an old line the user's.
	if len(written)+len(moving) > 0 {
		if err := c.noteHosts(slices.Concat(moving, written)); err != nil {
			return err
		}
	}
	if err := rewrite(path, b.Bytes()); err != nil {
		return err
	}
	if len(written) > 0 {
		return c.noteHosts(moving)
	}
	return nil
}

func isLoopback(text string) bool {
	a, err := netip.ParseAddr(text)
	return err != nil || a.IsLoopback()
}
