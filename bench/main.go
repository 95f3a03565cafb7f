package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/jobengine/engine/test/harness"
)

func main() {
	run := compare
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "phases":
			run = func() error { return phases(os.Args[2:]) }
		case "net":
			run = func() error { return networked(os.Args[2:]) }
		case "pull":
			run = func() error { return pull(os.Args[2:]) }
		case "names":
			run = func() error { return names(os.Args[2:]) }
		case "crowd":
			run = func() error { return crowd(os.Args[2:]) }
		}
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// comparison is one run of everything side by side.
type comparison struct {
	*bench
	table
	rounds          int
	idle            time.Duration
	engine, dockerd *harness.Daemon
}

// daemons are both, in the order in which they take turns.
func (c *comparison) daemons() []*harness.Daemon { return []*harness.Daemon{c.engine, c.dockerd} }

// name is the contender that stands for a daemon where no client takes part.
func (c *comparison) name(d *harness.Daemon) string {
	if d == c.engine {
		return ours
	}
	return theirs
}

func compare() (err error) {
	rounds := flag.Int("rounds", 15, "rounds; every contender is measured once in each")
	idle := flag.Duration("idle", 100*time.Millisecond, "pause before each cold start")
	strict := flag.Bool("strict", false, "a missed bar is a failure")
	flag.Parse()

	b, err := newBench()
	if err != nil {
		return err
	}
	defer b.close(&err)
	c := &comparison{bench: b, rounds: *rounds, idle: *idle}
	if err := c.assemble(); err != nil {
		return err
	}
	began := time.Now()
	fmt.Printf("bench: %d rounds, contenders take turns; %d CPUs; cold starts after %s of rest\n", *rounds, runtime.NumCPU(), *idle)
	fmt.Printf("       median (90th percentile) in ms; each program through its own client unless one is named; load when it began: %s\n\n", load())

	fresh := c.memory()
	for _, d := range c.daemons() {
		if err := b.prepare(d); err != nil {
			return err
		}
	}
	c.head()
	for _, part := range []func() error{c.verbs, c.together, c.crowds, c.lists, c.throughput} {
		if err := part(); err != nil {
			return err
		}
	}
	time.Sleep(settling)
	worked := c.memory()
	still, err := c.stillness()
	if err != nil {
		return err
	}
	if err := c.boots(); err != nil {
		return err
	}
	if err := c.images(); err != nil {
		return err
	}

	fmt.Printf("\nmemory, PSS in MB        %12s %16s\n", "engine", "dockerd")
	fmt.Printf("  just started, idle     %12.1f %16.1f   (ours: daemon and supervisor; dockerd and containerd)\n", fresh[0], fresh[1])
	fmt.Printf("  after all this, idle   %12.1f %16.1f   (one container runs: dockerd's shim is counted)\n", worked[0], worked[1])
	fmt.Printf("  each idle container    %12.2f %16.2f\n", c.each[0], c.each[1])
	fmt.Printf("\nwith one idle container, in 5 s: wake-ups %d of ours, %d of theirs\n", still[0], still[1])
	fmt.Printf("\n%s in all; load at the end: %s\n", time.Since(began).Round(time.Second), load())

	missed := c.bars(max(fresh[0], worked[0]), still[0])
	if missed > 0 && *strict {
		return fmt.Errorf("%d bars missed", missed)
	}
	return nil
}

// assemble starts everybody.
func (c *comparison) assemble() error {
	own, err := harness.EngineCLI()
	if err != nil {
		return err
	}
	if c.engine, err = c.startEngine(); err != nil {
		return err
	}
	if c.dockerd, err = c.startDockerd(); err != nil {
		return err
	}
	c.contenders = []*contender{{name: ours, daemon: c.engine, cli: own}}
	for _, cli := range harness.DockerCLIs() {
		c.contenders = append(c.contenders, &contender{name: "dockerd+" + cli.Name, daemon: c.dockerd, cli: cli})
		if cli.Name != "docker20" {
			c.contenders = append(c.contenders, &contender{name: "engine+" + cli.Name, daemon: c.engine, cli: cli})
		}
	}
	runc, err := c.newRunc()
	c.contenders = append(c.contenders, runc)
	return err
}

// bars are what we hold ourselves to.
func (c *comparison) bars(idlePSS float64, wakeups int) (missed int) {
	bar := func(what string, got, want float64, atLeast bool, format string) {
		verdict := "met"
		if atLeast == (got < want) && got != want {
			verdict = "MISSED"
			missed++
		}
		fmt.Printf("  %-52s bar "+format+"  measured "+format+"  %s\n", what, want, got, verdict)
	}
	faster := func(row string, want float64) {
		bar(row+": times faster, at least", c.ratio(row), want, true, "%6.1f")
	}
	fmt.Println("\nbars (against dockerd 20.10 with its own client)")
	faster(rowLoop, 6)
	faster(rowCold, 6)
	bar(rowCold+": times a bare runc, at most", c.toRunc(rowCold), 1.2, false, "%6.2f")
	faster(rowExec, 4)
	faster(rowStart40, 6)
	faster(rowRemove40, 5)
	faster(rowTogether, 4)
	faster(rowBoot, 3)
	faster(rowLogs, 3)
	faster(rowPs, 2)
	faster(rowInspect, 2)
	faster(rowDump, 1)
	faster(rowAttach, 1)
	faster(rowLoad, 1.5)
	faster(rowSave, 1.5)
	bar("each idle container: PSS in MB, at most", c.each[0], 0.2, false, "%6.2f")
	bar("daemon and supervisor, idle: PSS in MB, at most", idlePSS, 45, false, "%6.1f")
	bar("wake-ups in 5 s of rest, at most", float64(wakeups), 5, false, "%6.0f")
	return missed
}
