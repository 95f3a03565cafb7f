package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jobengine/engine/test/harness"
)

func main() {
	run := compare
	if len(os.Args) > 1 && os.Args[1] == "phases" {
		run = func() error { return phases(os.Args[2:]) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// times of one contender at one verb.
type times []time.Duration

func (t times) at(part float64) time.Duration {
	s := slices.Clone(t)
	slices.Sort(s)
	return s[min(len(s)-1, int(part*float64(len(s))))]
}

func (t times) median() time.Duration { return t.at(0.5) }

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
	own, err := harness.EngineCLI()
	if err != nil {
		return err
	}
	engine, err := b.startEngine()
	if err != nil {
		return err
	}
	dockerd, err := b.startDockerd()
	if err != nil {
		return err
	}

	contenders := []*contender{{name: "engine", daemon: engine, cli: own}}
	for _, cli := range harness.DockerCLIs() {
		contenders = append(contenders, &contender{name: "dockerd+" + cli.Name, daemon: dockerd, cli: cli})
		if cli.Name != "docker20" {
			contenders = append(contenders, &contender{name: "engine+" + cli.Name, daemon: engine, cli: cli})
		}
	}
	runc, err := b.newRunc()
	if err != nil {
		return err
	}
	contenders = append(contenders, runc)

	fmt.Printf("bench: %d rounds, contenders take turns; %d CPUs; cold starts after %s of rest\n", *rounds, runtime.NumCPU(), *idle)
	fmt.Printf("       median (90th percentile) in ms; each program through its own client unless one is named; load when it began: %s\n\n", load())

	fresh := [2]float64{pss(engine), pss(dockerd)}
	for _, d := range []*harness.Daemon{engine, dockerd} {
		if err := b.prepare(d); err != nil {
			return err
		}
	}
	t := table{contenders: contenders}
	t.head()
	measure := func(title, verb string, pause time.Duration) error {
		all := map[string]times{}
		for i := -2; i < *rounds; i++ { // two rounds to warm up
			for _, c := range contenders {
				argv := c.command(verb)
				if argv == nil {
					continue
				}
				time.Sleep(pause)
				began := time.Now()
				if err := c.run(argv); err != nil {
					return err
				}
				if i >= 0 {
					all[c.name] = append(all[c.name], time.Since(began))
				}
			}
		}
		t.row(title, all)
		return nil
	}
	for _, m := range []struct {
		title, verb string
		pause       time.Duration
	}{
		{"run --rm --network none, in a loop", "run", 0},
		{"run --rm --network none, cold", "run", *idle},
		{"exec", "exec", 0},
		{"logs, 10,000 lines", "logs", 0},
	} {
		if err := measure(m.title, m.verb, m.pause); err != nil {
			return err
		}
	}
	parallel := map[string]times{}
	for range max(3, *rounds/4) {
		for _, c := range contenders {
			if c.daemon == nil || strings.HasSuffix(c.name, "docker28") {
				continue
			}
			d, err := together(c.daemon, 20)
			if err != nil {
				return err
			}
			parallel[c.name] = append(parallel[c.name], d)
		}
	}
	t.row("20 parallel create+start+rm", parallel)
	for _, d := range []*harness.Daemon{engine, dockerd} {
		if err := fill(d); err != nil {
			return err
		}
	}
	if err := measure("ps -a with 200 containers", "ps", 0); err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	worked := [2]float64{pss(engine), pss(dockerd)}
	fmt.Printf("\nmemory, PSS in MB        %12s %16s\n", "engine", "dockerd")
	fmt.Printf("  just started, idle     %12.1f %16.1f   (ours: daemon and supervisor; dockerd and containerd)\n", fresh[0], fresh[1])
	fmt.Printf("  after all this, idle   %12.1f %16.1f   (one container runs: dockerd's shim is counted)\n\n", worked[0], worked[1])

	missed := 0
	bar := func(what string, got, want float64, atLeast bool, format string) {
		verdict := "met"
		if atLeast == (got < want) && got != want {
			verdict = "MISSED"
			missed++
		}
		fmt.Printf("  %-44s bar "+format+"  measured "+format+"  %s\n", what, want, got, verdict)
	}
	fmt.Println("bars (against dockerd 20.10 with its own client)")
	bar("run --rm, in a loop: times faster, at least", t.ratio("run --rm --network none, in a loop"), 4, true, "%5.1f")
	bar("run --rm, cold: times faster, at least", t.ratio("run --rm --network none, cold"), 4, true, "%5.1f")
	bar("exec: times faster, at least", t.ratio("exec"), 3, true, "%5.1f")
	bar("ps -a with 200: times faster, at least", t.ratio("ps -a with 200 containers"), 2, true, "%5.1f")
	bar("idle PSS in MB, at most", max(fresh[0], worked[0]), 50, false, "%5.1f")
	if missed > 0 && *strict {
		return fmt.Errorf("%d bars missed", missed)
	}
	return nil
}

// together creates, starts and removes n containers at once over the API.
func together(d *harness.Daemon, n int) (time.Duration, error) {
	errs := make([]error, n)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			name := fmt.Sprintf("bench-together-%d", i)
			if errs[i] = create(d, name, []string{"true"}); errs[i] != nil {
				return
			}
			if errs[i] = d.JSON("POST", "/containers/"+name+"/start", nil, nil); errs[i] != nil {
				return
			}
			errs[i] = d.JSON("DELETE", "/containers/"+name+"?force=1", nil, nil)
		}()
	}
	wg.Wait()
	return time.Since(began), errors.Join(errs...)
}
