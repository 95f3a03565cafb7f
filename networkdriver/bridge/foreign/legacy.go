package foreign

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/sandbox"
)

// A legacy is the old table "filter" of one version of IP.
type legacy struct {
	names   string // the file with the tables that are there
	command string
	family  int
	level   int
	next    int // where struct ipt_entry has the offset of the next one
	counted int // where it has its counters
	seen    uint64
}

func legacies() []*legacy {
	return []*legacy{
		{names: "/proc/thread-self/net/ip_tables_names", command: "iptables-legacy", family: unix.AF_INET, level: unix.IPPROTO_IP, next: 90, counted: 96},
		{names: "/proc/thread-self/net/ip6_tables_names", command: "ip6tables-legacy", family: unix.AF_INET6, level: unix.IPPROTO_IPV6, next: 142, counted: 152},
	}
}

// Options of getsockopt, from linux/netfilter_ipv4/ip_tables.h; those of IPv6 are the same.
const (
	soGetInfo    = 64
	soGetEntries = 65
	infoBytes    = 84
)

// admitLegacy does for the old tables what admitNFT does for the new ones.
func (f *Filters) admitLegacy(wanted bool) (added []string, err error) {
	for _, l := range f.old {
		var did bool
		e := f.inside(func() (err error) {
			did, err = l.admit(f.cfg, wanted)
			return err
		})
		if e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", l.command, e))
		} else if did {
			added = append(added, l.command+" filter FORWARD")
		}
	}
	return added, err
}

// inside runs something in the network namespace that the Filters were made in.
func (f *Filters) inside(do func() error) error {
	return sandbox.Do(fmt.Sprintf("/proc/self/fd/%d", f.namespace.Fd()), do)
}

// legacyChanged tells whether an old table is another one than when it was last looked at.
func (f *Filters) legacyChanged() bool {
	changed := false
	_ = f.inside(func() error {
		for _, l := range f.old {
			now, err := l.fingerprint()
			changed = changed || err == nil && now != l.seen
		}
		return nil
	})
	return changed
}

// there tells whether the table is. Asking the kernel for it by its other interfaces would make it.
func (l *legacy) there() bool {
	names, err := os.ReadFile(l.names)
	return err == nil && slices.Contains(strings.Fields(string(names)), "filter")
}

// fingerprint identifies the table's content without the counters; 0 if there is no table.
func (l *legacy) fingerprint() (uint64, error) {
	if !l.there() {
		return 0, nil
	}
	fd, err := unix.Socket(l.family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	for range 20 {
		info := make([]byte, infoBytes)
		copy(info, "filter")
		if err := getsockopt(fd, l.level, soGetInfo, info); err != nil {
			return 0, fmt.Errorf("state of the table: %w", err)
		}
		size := binary.NativeEndian.Uint32(info[infoBytes-4:])
		const head = 40 // name, size, padding
		blob := make([]byte, head+size)
		copy(blob, "filter")
		binary.NativeEndian.PutUint32(blob[32:], size)
		err := getsockopt(fd, l.level, soGetEntries, blob)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINVAL) {
			continue // it has another size meanwhile
		}
		if err != nil {
			return 0, fmt.Errorf("rules of the table: %w", err)
		}
		entries := blob[head:]
		for at := 0; at+l.counted+16 <= len(entries); {
			next := int(binary.NativeEndian.Uint16(entries[at+l.next:]))
			if next == 0 {
				break
			}
			clear(entries[at+l.counted : at+l.counted+16])
			at += next
		}
		sum := fnv.New64a()
		sum.Write(info[infoBytes-48:])
		sum.Write(entries)
		return sum.Sum64() | 1, nil
	}
	return 0, errRestless
}

func getsockopt(fd, level, option int, buffer []byte) error {
	size := uint32(len(buffer))
	_, _, no := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&buffer[0])), uintptr(unsafe.Pointer(&size)), 0)
	if no != 0 {
		return no
	}
	return nil
}

// admit looks at the table if it has changed. did: our rule was added.
func (l *legacy) admit(cfg Config, wanted bool) (did bool, err error) {
	now, err := l.fingerprint()
	if err != nil {
		return false, err
	}
	if now == 0 {
		l.seen = 0
		return false, nil
	}
	if now == l.seen && wanted {
		return false, nil
	}
	out, err := l.run("-S")
	if err != nil {
		return false, err
	}
	rules, drops := parseLegacy(out, cfg.comment())
	needed, before, there := rules.place("FORWARD", drops)
	needed = needed && wanted
	// Numbers of rules shift with each that goes: from the end on.
	for i, r := range slices.Backward(rules["FORWARD"]) {
		if r.ours && (!needed || i >= before || !there) {
			if _, err := l.run("-D", "FORWARD", strconv.Itoa(i+1)); err != nil {
				return false, err
			}
			if i < before {
				before--
			}
		}
	}
	if needed && !there {
		args := append([]string{"-I", "FORWARD", strconv.Itoa(before + 1)}, cfg.legacyRule()...)
		if _, err := l.run(args...); err != nil {
			return false, err
		}
		did = true
	}
	if l.seen, err = l.fingerprint(); !wanted {
		l.seen = 0 // whoever wants our rule next has to look again
	}
	return did, err
}

func (l *legacy) run(args ...string) (string, error) {
	cmd := exec.Command(l.command, append([]string{"-w", "10", "-t", "filter"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

func (c Config) legacyRule() []string {
	mark := fmt.Sprintf("%#x/%#x", c.Mark, c.Mark)
	return []string{"-m", "mark", "--mark", mark, "-m", "comment", "--comment", c.comment(), "-j", "ACCEPT"}
}

// parseLegacy reads what iptables -S prints: one rule a line, and the policies.
func parseLegacy(text, comment string) (rules table, drops bool) {
	rules = table{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 3 && words[0] == "-P" && words[1] == "FORWARD" {
			drops = words[2] == "DROP"
		}
		if len(words) < 2 || words[0] != "-A" {
			continue
		}
		chain := words[1]
		r := rule{sweeps: true}
		for i := 2; i < len(words); i++ {
			more := ""
			if i+1 < len(words) {
				more = words[i+1]
			}
			switch words[i] {
			case "-j", "-g":
				switch r.to = more; more {
				case "ACCEPT":
					r.verdict = accept
				case "DROP", "REJECT":
					r.verdict = drop
				case "RETURN":
					r.verdict = back
				case "LOG", "NFLOG":
				default:
					r.verdict = jump // to another target there are no rules, and it goes on
					if words[i] == "-g" {
						r.verdict = leave
					}
				}
				i = len(words) // options of the target follow
			case "-i", "-o":
				if more != "+" { // which is any
					r.some, r.sweeps = true, false
				}
				i++
			case "-p":
				r.some = true
				i++
			case "--comment":
				r.ours = strings.Trim(more, `"`) == comment
				i++
			case "-m":
				if more != "comment" && more != "limit" && more != "tcp" && more != "udp" {
					r.sweeps = false
				}
				r.some = r.some || more != "comment"
				i++
			case "--limit", "--limit-burst":
				i++
			default:
				r.some, r.sweeps = true, false
			}
		}
		r.sweeps = r.sweeps && (r.verdict == drop || r.verdict == next) && !r.ours
		rules[chain] = append(rules[chain], r)
	}
	return rules, drops
}
