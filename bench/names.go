package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/sandbox"
	"github.com/jobengine/engine/test/harness"
)

// names measures how many questions for the name of a container are answered in a second, on a network
// of users. Who asks is this program, in the namespace of another container on it.
func names(args []string) (err error) {
	f := flag.NewFlagSet("names", flag.ContinueOnError)
	rounds := f.Int("rounds", 25, "rounds; every daemon is asked once in each")
	span := f.Duration("for", 200*time.Millisecond, "how long it is asked")
	first := f.Bool("ahead", false, aheadUsage)
	strict := f.Bool("strict", false, "a missed bar is a failure")
	if err := f.Parse(args); err != nil {
		return err
	}
	b, err := newBench()
	if err != nil {
		return err
	}
	defer b.close(&err)
	own, err := harness.EngineCLI()
	if err != nil {
		return err
	}
	type asked struct {
		name string
		ns   string
		pid  int
	}
	var all []asked
	for _, one := range []struct {
		name  string
		start func(harness.Options) (*harness.Daemon, error)
	}{{ours, harness.StartEngine}, {theirs, harness.StartDockerd}} {
		d, err := one.start(harness.Options{
			ExecRoot: filepath.Join(b.runDir, one.name), DefaultBridge: true,
			Wrap: []string{"unshare", "-n", "sh", "-c", `ip link set lo up && exec "$0" "$@"`},
		})
		if err != nil {
			return err
		}
		b.undo = append(b.undo, d.Destroy)
		if err := b.load(d); err != nil {
			return err
		}
		do := func(args ...string) string {
			r, e := d.Run(own, args...)
			if e == nil && r.Code != 0 {
				e = errors.New(strings.TrimSpace(r.Stderr))
			}
			err = errors.Join(err, e)
			return r.Out()
		}
		do("network", "create", "names")
		do("run", "-d", "--name", "web", "--network", "names", "busybox", "sleep", "100000")
		do("run", "-d", "--name", "asker", "--network", "names", "busybox", "sleep", "100000")
		pid := do("inspect", "-f", "{{.State.Pid}}", "asker")
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		if *first {
			if err := ahead(d); err != nil {
				return err
			}
		}
		all = append(all, asked{one.name, "/proc/" + pid + "/ns/net", d.Pid()})
	}
	fmt.Printf("names: questions a second for a container's name, medians of %d rounds of %s, daemons take turns; load when it began: %s\n\n", *rounds, *span, load())
	fmt.Printf("  %-34s %10s %10s %8s %8s %8s   %s\n", "", ours, "dockerd", "ratio", "bar 2.0", "of best", "µs of the daemon's CPU for each")
	missed := 0
	for _, row := range []struct {
		what     string
		askers   int
		fresh    bool
		underWay int
	}{
		{"1 at a time, from new ports", 1, true, 1}, {"8 at a time, from new ports", 8, true, 1}, {"8 at a time, from the same ports", 8, false, 1},
		// As dnsperf asks: what a resolver can do at most, whatever the askers do between two questions.
		{"128 under way, from 8 ports", 8, false, 16},
	} {
		rates, spent, got := map[string][]float64{}, map[string]time.Duration{}, map[string]int{}
		for round := range *rounds {
			for i := range all {
				a := all[(i+round)%len(all)]
				before := cpu(a.pid)
				n, err := questions(a.ns, row.askers, row.fresh, row.underWay, *span)
				if err != nil {
					return fmt.Errorf("%s: %w", a.name, err)
				}
				rates[a.name] = append(rates[a.name], float64(n)/span.Seconds())
				spent[a.name] += cpu(a.pid) - before
				got[a.name] += n
			}
		}
		// Of each round, since what else the machine does hits both of one; of the best ones, which it has hit least.
		ratios := make([]float64, *rounds)
		for i := range ratios {
			ratios[i] = rates[ours][i] / rates[theirs][i]
		}
		ratio, verdict := middle(ratios), "met"
		if ratio < 2 {
			verdict, missed = "MISSED", missed+1
		}
		each := func(name string) float64 { return float64(spent[name].Microseconds()) / float64(got[name]) }
		fmt.Printf("  %-34s %10.0f %10.0f %8.1f %8s %8.1f   %.1f, %.1f\n", row.what, middle(rates[ours]), middle(rates[theirs]), ratio, verdict, slices.Max(rates[ours])/slices.Max(rates[theirs]), each(ours), each(theirs))
	}
	if missed > 0 && *strict {
		return fmt.Errorf("%d bars missed", missed)
	}
	return nil
}

// middle is the median.
func middle(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// questions counts the answers that askers get, each asking again as soon as it has one, or has them if
// several are under way: from a new port each time, as C libraries do, or from the same one.
//
// Who asks is to cost as little as can be, since it runs on the same processors: the calls are made without
// telling the scheduler, which for so long gets one of its own for each asker and no garbage collection.
func questions(ns string, askers int, fresh bool, underWay int, span time.Duration) (count int, err error) {
	msg, err := new(dns.Msg).SetQuestion("web.", dns.TypeA).Pack()
	if err != nil {
		return 0, err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + askers))
	counts, errs := make([]int, askers), make([]error, askers)
	end := time.Now().Add(span)
	var wait sync.WaitGroup
	for i := range askers {
		wait.Go(func() {
			errs[i] = sandbox.Do(ns, func() error { return ask(msg, fresh, underWay, end, &counts[i]) })
		})
	}
	wait.Wait()
	for _, n := range counts {
		count += n
	}
	return count, errors.Join(errs...)
}

func ask(msg []byte, fresh bool, underWay int, end time.Time, count *int) error {
	fd, err := connected()
	for in := make([]byte, 512); err == nil && time.Now().Before(end); *count += underWay {
		for range underWay {
			if _, err := call(unix.SYS_WRITE, fd, unsafe.Pointer(&msg[0]), uintptr(len(msg))); err != nil {
				return err
			}
		}
		for range underWay {
			n, err := call(unix.SYS_READ, fd, unsafe.Pointer(&in[0]), uintptr(len(in)))
			if err != nil || n < 12 || in[7] != 1 {
				return fmt.Errorf("the name is not known: %d bytes, %v", n, err)
			}
		}
		if fresh {
			call(unix.SYS_CLOSE, fd, nil, 0)
			fd, err = connected()
		}
	}
	call(unix.SYS_CLOSE, fd, nil, 0)
	return err
}

// call makes a call of the kernel for as long as it takes.
func call(number, fd uintptr, data unsafe.Pointer, length uintptr) (int, error) {
	for {
		n, _, err := unix.RawSyscall(number, fd, uintptr(data), length)
		switch err {
		case 0:
			return int(n), nil
		case unix.EINTR: // by the scheduler
		default:
			return 0, err
		}
	}
}

// resolver is 127.0.0.11:53.
var resolver = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: [4]byte{127, 0, 0, 11}, Port: binary.NativeEndian.Uint16([]byte{0, 53})}

// answerLost is when one who asks gives up.
var answerLost = unix.Timeval{Sec: 10}

// connected gives a socket that waits in the kernel.
func connected() (uintptr, error) {
	fd, _, err := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == 0 {
		_, _, err = unix.RawSyscall6(unix.SYS_SETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, uintptr(unsafe.Pointer(&answerLost)), unsafe.Sizeof(answerLost), 0)
	}
	if err == 0 {
		_, _, err = unix.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&resolver)), unix.SizeofSockaddrInet4)
	}
	if err != 0 {
		return 0, err
	}
	return fd, nil
}

// cpu is the time that a process has computed.
func cpu(pid int) time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	words := strings.Fields(rest)
	if len(words) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(words[11])
	system, _ := strconv.Atoi(words[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
