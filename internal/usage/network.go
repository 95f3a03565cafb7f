package usage

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Interface is what went through a network interface, seen from inside.
type Interface struct {
	RxBytes, RxPackets, RxErrors, RxDropped uint64
	TxBytes, TxPackets, TxErrors, TxDropped uint64
}

// Interfaces reads the counters of the named interfaces in a process' network namespace. Those that are
// not there, or not any more, are left out.
func Interfaces(pid int, names []string) map[string]Interface {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	if err != nil {
		return nil // the process has ended
	}
	return netDev(text, names)
}

// netDev parses /proc/net/dev (proc_pid_net(5)): two lines of headings, then a name, 8 columns of what
// was received, and 8 of what was sent.
func netDev(text []byte, names []string) map[string]Interface {
	found := map[string]Interface{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, rest, ok := strings.Cut(lines.Text(), ":")
		columns := strings.Fields(rest)
		if name = strings.TrimSpace(name); !ok || len(columns) < 12 || !slices.Contains(names, name) {
			continue
		}
		n := func(i int) uint64 {
			v, _ := strconv.ParseUint(columns[i], 10, 64)
			return v
		}
		found[name] = Interface{
			RxBytes: n(0), RxPackets: n(1), RxErrors: n(2), RxDropped: n(3),
			TxBytes: n(8), TxPackets: n(9), TxErrors: n(10), TxDropped: n(11),
		}
	}
	return found
}
