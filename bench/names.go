package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/sandbox"
	"github.com/jobengine/engine/test/harness"
)

// names measures how many questions for the name of a container are answered in a second, on a network
// of users. Who asks is this program, in the namespace of another container on it.
func names(args []string) (err error) {
	f := flag.NewFlagSet("names", flag.ContinueOnError)
	rounds := f.Int("rounds", 9, "rounds; every daemon is asked once in each")
	span := f.Duration("for", time.Second, "how long it is asked")
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
		all = append(all, asked{one.name, "/proc/" + pid + "/ns/net", d.Pid()})
	}
	fmt.Printf("names: questions a second for a container's name, %d rounds of %s, daemons take turns; load when it began: %s\n\n", *rounds, *span, load())
	fmt.Printf("  %-34s %10s %10s %8s   %s\n", "", ours, "dockerd", "ratio", "µs of the daemon's CPU for each")
	missed := false
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
		for range *rounds {
			for _, a := range all {
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
		mid := func(name string) float64 {
			slices.Sort(rates[name])
			return rates[name][len(rates[name])/2]
		}
		each := func(name string) float64 { return float64(spent[name].Microseconds()) / float64(got[name]) }
		ratio := mid(ours) / mid(theirs)
		fmt.Printf("  %-34s %10.0f %10.0f %7.1f×   %.1f, %.1f\n", row.what, mid(ours), mid(theirs), ratio, each(ours), each(theirs))
		missed = missed || row.underWay > 1 && ratio < 2
	}
	verdict := "met"
	if missed {
		verdict = "MISSED"
	}
	fmt.Printf("\n  embedded DNS, queries per second against dockerd's, 128 under way     bar 2.0×  %s\n", verdict)
	if missed && *strict {
		return errors.New("a bar is missed")
	}
	return nil
}

// questions counts the answers that askers get, each asking again as soon as it has one, or has them if
// several are under way: from a new port each time, as C libraries do, or from the same one.
func questions(ns string, askers int, fresh bool, underWay int, span time.Duration) (count int, err error) {
	msg, err := new(dns.Msg).SetQuestion("web.", dns.TypeA).Pack()
	if err != nil {
		return 0, err
	}
	counts, errs := make([]int, askers), make([]error, askers)
	end := time.Now().Add(span)
	var wait sync.WaitGroup
	for i := range askers {
		wait.Go(func() {
			errs[i] = sandbox.Do(ns, func() (err error) {
				fd := -1
				defer func() { unix.Close(fd) }()
				for in := make([]byte, 512); time.Now().Before(end); counts[i] += underWay {
					if fd < 0 || fresh {
						unix.Close(fd)
						if fd, err = connected(); err != nil {
							return err
						}
					}
					for range underWay {
						if _, err := unix.Write(fd, msg); err != nil {
							return err
						}
					}
					for range underWay {
						n, err := unix.Read(fd, in)
						for err == unix.EINTR { // of the scheduler of Go
							n, err = unix.Read(fd, in)
						}
						if err != nil || n < 12 || in[7] != 1 {
							return fmt.Errorf("the name is not known: %d bytes, %v", n, err)
						}
					}
				}
				return nil
			})
		})
	}
	wait.Wait()
	for _, n := range counts {
		count += n
	}
	return count, errors.Join(errs...)
}

// connected gives a socket that waits in the kernel, so that as little as can be is measured of who asks.
func connected() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10})
	}
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 11}, Port: 53})
	}
	return fd, err
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
