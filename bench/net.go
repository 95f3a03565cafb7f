package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/sandbox"
	"github.com/jobengine/engine/test/harness"
)

const (
	rowBridge     = "run --rm on the bridge, in a loop"
	rowBridgeCold = "run --rm on the bridge, cold"
	rowPort       = "run --rm -p 8080:80, in a loop"
	rowPortCold   = "run --rm -p 8080:80, cold"
	rowLoopback   = "100 MB by a port on 127.0.0.1"
	rowBetween    = "100 MB from container to container"
	rowPackets    = "10,000 packets there, CPU time"
)

// ownNetwork runs a daemon in a network namespace of its own.
var ownNetwork = []string{"unshare", "-n", "sh", "-c", `ip link set lo up && exec "$0" "$@"`}

// networked compares what has to do with networks: each daemon in a network namespace of its
// own, with its default bridge.
func networked(args []string) (err error) {
	flags := flag.NewFlagSet("net", flag.ExitOnError)
	rounds := flags.Int("rounds", 15, "rounds; every contender is measured once in each")
	idle := flags.Duration("idle", 100*time.Millisecond, "pause before each cold start")
	starts := flags.Bool("starts", true, "measure starts too, not only streams")
	first := flags.Bool("ahead", false, aheadUsage)
	strict := flags.Bool("strict", false, "a missed bar is a failure")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, err := newBench()
	if err != nil {
		return err
	}
	defer b.close(&err)
	c := &comparison{bench: b, rounds: *rounds, idle: *idle}
	if err := c.assembleRouted(); err != nil {
		return err
	}
	if *first {
		if err := ahead(c.daemons()...); err != nil {
			return err
		}
	}
	fmt.Printf("bench net: %d rounds, contenders take turns; %d CPUs; cold starts after %s of rest; load %s\n", *rounds, runtime.NumCPU(), *idle, load())
	fmt.Printf("           median (90th percentile) in ms\n\n")
	c.head()
	for _, m := range []struct {
		title, verb string
		pause       time.Duration
	}{{rowBridge, "run-bridge", 0}, {rowBridgeCold, "run-bridge", c.idle}, {rowPort, "run-port", 0}, {rowPortCold, "run-port", c.idle}} {
		if !*starts {
			break
		}
		if err := c.measure(m.title, m.verb, m.pause, c.rounds, true); err != nil {
			return err
		}
	}
	if err := c.streams(); err != nil {
		return err
	}
	missed := 0
	fmt.Println("\nbars (against dockerd 20.10 with its own client)")
	for row, want := range map[string]float64{rowBridge: 5, rowBridgeCold: 5, rowPort: 6, rowPortCold: 6, rowLoopback: 1, rowBetween: 1, rowPackets: 1} {
		verdict := "met"
		if c.ratio(row) == 0 {
			continue // not measured
		}
		if c.ratio(row) < want {
			verdict, missed = "MISSED", missed+1
		}
		fmt.Printf("  %-40s times faster, at least %4.1f  measured %6.2f  %s\n", row, want, c.ratio(row), verdict)
	}
	if missed > 0 && *strict {
		return fmt.Errorf("%d bars missed", missed)
	}
	return nil
}

func (c *comparison) assembleRouted() (err error) {
	own, err := harness.EngineCLI()
	if err != nil {
		return err
	}
	if c.engine, err = harness.StartEngine(harness.Options{ExecRoot: filepath.Join(c.runDir, "engine"), DefaultBridge: true, Wrap: ownNetwork}); err != nil {
		return err
	}
	c.undo = append(c.undo, c.engine.Destroy)
	if c.dockerd, err = harness.StartDockerd(harness.Options{ExecRoot: filepath.Join(c.runDir, "docker"), Wrap: ownNetwork}); err != nil {
		return err
	}
	c.undo = append(c.undo, c.dockerd.Destroy)
	c.contenders = []*contender{{name: ours, daemon: c.engine, cli: own}}
	for _, cli := range harness.DockerCLIs() {
		if cli.Name == "docker20" {
			c.contenders = append(c.contenders, &contender{name: "dockerd+" + cli.Name, daemon: c.dockerd, cli: cli})
		}
	}
	for _, d := range c.daemons() {
		if err := c.load(d); err != nil {
			return err
		}
	}
	return nil
}

// megabytes are what a stream carries.
const megabytes = 100

// streams moves bytes by a published port and between two containers. What listens and sends there is this
// program, for both daemons the same. The containers stay, so that many short streams take turns: what
// else the machine does hits both of one turn.
func (c *comparison) streams() error {
	const turns = 5 // of each round
	byPort, between, packets := map[string]times{}, map[string]times{}, map[string]times{}
	type pair struct {
		d        *harness.Daemon
		one, two netBox
	}
	var pairs []pair
	for _, d := range c.daemons() {
		one, two, err := c.pair(d)
		if err != nil {
			return err
		}
		pairs = append(pairs, pair{d, one, two})
	}
	for turn := range turns * c.rounds {
		for i := range pairs {
			p := pairs[(i+turn)%len(pairs)]
			name := c.name(p.d)
			t, err := carry(fmt.Sprintf("/proc/%d/ns/net", p.d.Pid()), p.one, "127.0.0.1:9000", 9000)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			byPort[name] = append(byPort[name], t)
			if t, err = carry(p.two.path, p.one, p.one.address+":9001", 9001); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			between[name] = append(between[name], t)
			if t, err = scatter(p.two.path, p.one, 9002); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			packets[name] = append(packets[name], t)
		}
	}
	for _, p := range pairs {
		for _, name := range []string{"bench-net-1", "bench-net-2"} {
			if err := remove(p.d, name); err != nil {
				return err
			}
		}
	}
	c.row(rowLoopback, byPort)
	c.row(rowBetween, between)
	c.row(rowPackets, packets)
	return nil
}

type netBox struct{ path, address string }

// pair starts two containers that do nothing, the first with a published port.
func (c *comparison) pair(d *harness.Daemon) (one, two netBox, err error) {
	for i, box := range []*netBox{&one, &two} {
		name := fmt.Sprintf("bench-net-%d", i+1)
		body := map[string]any{"Image": "busybox", "Cmd": []string{"sleep", "100000"}}
		if i == 0 {
			body["ExposedPorts"] = map[string]any{"9000/tcp": struct{}{}}
			body["HostConfig"] = map[string]any{"PortBindings": map[string]any{"9000/tcp": []map[string]string{{"HostIp": "127.0.0.1", "HostPort": "9000"}}}}
		}
		if err := d.JSON("POST", "/containers/create?name="+name, body, nil); err != nil {
			return one, two, err
		}
		if err := start(d, name); err != nil {
			return one, two, err
		}
		var is struct {
			State           struct{ Pid int }
			NetworkSettings struct {
				Networks map[string]struct{ IPAddress string }
			}
		}
		if err := d.JSON("GET", "/containers/"+name+"/json", nil, &is); err != nil {
			return one, two, err
		}
		*box = netBox{fmt.Sprintf("/proc/%d/ns/net", is.State.Pid), is.NetworkSettings.Networks["bridge"].IPAddress}
	}
	return one, two, nil
}

// carry sends the bytes from one namespace to a listener in another, and waits until all are there.
func carry(from string, to netBox, address string, port int) (took time.Duration, err error) {
	var l net.Listener
	if err := sandbox.Do(to.path, func() (err error) {
		l, err = net.Listen("tcp4", fmt.Sprintf(":%d", port))
		return err
	}); err != nil {
		return 0, err
	}
	defer l.Close()
	arrived := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			n, in := 0, make([]byte, 256<<10)
			for err == nil {
				var more int
				more, err = c.Read(in)
				n += more
			}
			if err = nil; n != megabytes<<20 {
				err = fmt.Errorf("%d bytes have arrived", n)
			}
		}
		arrived <- err
	}()
	var c net.Conn
	began := time.Now()
	if err := sandbox.Do(from, func() (err error) {
		c, err = net.DialTimeout("tcp4", address, 20*time.Second)
		return err
	}); err != nil {
		return 0, err
	}
	chunk := []byte(strings.Repeat("7", 1<<20))
	for range megabytes {
		if _, err := c.Write(chunk); err != nil {
			return 0, err
		}
	}
	c.Close()
	err = <-arrived
	return time.Since(began), err
}

// scatter sends many small packets from one namespace to another, and tells how long the processor was
// busy with them: all that the kernel does on their way it does as part of sending. It hardly depends on
// what else the machine does, and a rule too many shows.
func scatter(from string, to netBox, port int) (busy time.Duration, err error) {
	const count = 10_000
	var l net.PacketConn
	if err := sandbox.Do(to.path, func() (err error) {
		l, err = net.ListenPacket("udp4", fmt.Sprintf(":%d", port))
		return err
	}); err != nil {
		return 0, err
	}
	defer l.Close() // what does not fit into its buffer is lost
	err = sandbox.Do(from, func() error {
		c, err := net.Dial("udp4", net.JoinHostPort(to.address, strconv.Itoa(port)))
		if err != nil {
			return err
		}
		defer c.Close()
		raw, err := c.(*net.UDPConn).SyscallConn()
		if err != nil {
			return err
		}
		var failed error
		err = raw.Control(func(fd uintptr) {
			var before, after unix.Timespec
			sent := 0
			failed = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &before)
			for packet := make([]byte, 64); failed == nil && sent < count; sent++ {
				failed = unix.Sendto(int(fd), packet, 0, nil)
			}
			if failed == nil {
				failed = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &after)
			}
			busy = time.Duration(after.Nano() - before.Nano())
		})
		return errors.Join(err, failed)
	})
	return busy, err
}
