package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jobengine/engine/test/harness"
	"github.com/jobengine/engine/test/leak"
)

const (
	rowLoop     = "run --rm --network none, in a loop"
	rowCold     = "run --rm --network none, cold"
	rowExec     = "exec"
	rowLogs     = "logs, 10,000 lines"
	rowTogether = "20 parallel create+start+rm"
	rowStart40  = "start 40, 8 at a time"
	rowRemove40 = "remove these 40, 8 at a time"
	rowPs       = "ps -a with 200 containers"
	rowInspect  = "inspect with 200 containers"
	rowDump     = "logs of 100 MB"
	rowAttach   = "run that prints 100 MB"
	rowBoot     = "boot with 200 stopped containers"
)

// verbs measures what every contender can do by one command.
func (c *comparison) verbs() error {
	for _, m := range []struct {
		title, verb string
		pause       time.Duration
		all         bool // also the docker 28 client
	}{
		{rowLoop, "run", 0, true},
		{rowCold, "run", c.idle, true},
		{rowExec, "exec", 0, true},
		{rowLogs, "logs", 0, false},
	} {
		if err := c.measure(m.title, m.verb, m.pause, c.rounds, m.all); err != nil {
			return err
		}
	}
	return nil
}

// measure times one verb, everybody in turn, after two rounds to warm up.
func (c *comparison) measure(title, verb string, pause time.Duration, rounds int, all bool) error {
	took := map[string]times{}
	for i := -2; i < rounds; i++ {
		for _, who := range c.contenders {
			argv := who.command(verb)
			if argv == nil || !all && strings.HasSuffix(who.name, "docker28") {
				continue
			}
			time.Sleep(pause)
			began := time.Now()
			if err := who.run(argv); err != nil {
				return err
			}
			if i >= 0 {
				took[who.name] = append(took[who.name], time.Since(began))
			}
		}
	}
	c.row(title, took)
	return nil
}

// settling is how long memory needs to come back once there is nothing to do.
const settling = 7 * time.Second

// few is a number of rounds for what takes seconds.
func (c *comparison) few() int { return max(3, c.rounds/5) }

// together creates, starts and removes 20 containers at once over the API.
func (c *comparison) together() error {
	took := map[string]times{}
	for range c.few() {
		for _, d := range c.daemons() {
			t, err := atOnce(20, 20, func(i int) error {
				name := fmt.Sprintf("bench-together-%d", i)
				if err := create(d, name, []string{"true"}); err != nil {
					return err
				}
				if err := start(d, name); err != nil {
					return err
				}
				return remove(d, name)
			})
			if err != nil {
				return err
			}
			took[c.name(d)] = append(took[c.name(d)], t)
		}
	}
	c.row(rowTogether, took)
	return nil
}

// crowds starts and removes 40 containers that do nothing, and weighs them.
func (c *comparison) crowds() error {
	starts, removes := map[string]times{}, map[string]times{}
	name := func(i int) string { return fmt.Sprintf("bench-crowd-%d", i) }
	for round := range c.few() {
		for at, d := range c.daemons() {
			if _, err := atOnce(40, 8, func(i int) error { return create(d, name(i), []string{"sleep", "100000"}) }); err != nil {
				return err
			}
			if round == 0 {
				time.Sleep(settling)
			}
			before := pss(d)
			t, err := atOnce(40, 8, func(i int) error { return start(d, name(i)) })
			if err != nil {
				return err
			}
			starts[c.name(d)] = append(starts[c.name(d)], t)
			if round == 0 {
				time.Sleep(settling)
				c.each[at] = (pss(d) - before) / 40
			}
			if t, err = atOnce(40, 8, func(i int) error { return remove(d, name(i)) }); err != nil {
				return err
			}
			removes[c.name(d)] = append(removes[c.name(d)], t)
		}
	}
	c.row(rowStart40, starts)
	c.row(rowRemove40, removes)
	return nil
}

// lists makes it 200 containers, all but one of them ended, and looks at them.
func (c *comparison) lists() error {
	for _, d := range c.daemons() {
		if err := fill(d, 198); err != nil {
			return err
		}
	}
	return errors.Join(
		c.measure(rowPs, "ps", 0, c.rounds, false),
		c.measure(rowInspect, "inspect", 0, c.rounds, false),
	)
}

// throughput moves much output: from the log, and from a container to its client.
func (c *comparison) throughput() error {
	for _, d := range c.daemons() {
		err := create(d, "bench-long", []string{"sh", "-c", longLines})
		if err == nil {
			err = errors.Join(start(d, "bench-long"), d.JSON("POST", "/containers/bench-long/wait", nil, nil))
		}
		if err != nil {
			return err
		}
	}
	defer func() {
		for _, d := range c.daemons() {
			_ = remove(d, "bench-long")
		}
	}()
	for _, m := range [][2]string{{rowDump, "dump"}, {rowAttach, "print"}} {
		took := map[string]times{}
		for range 2 {
			for _, who := range c.contenders {
				argv := who.command(m[1])
				if argv == nil || strings.HasSuffix(who.name, "docker28") {
					continue
				}
				began := time.Now()
				if err := who.run(argv); err != nil {
					return err
				}
				took[who.name] = append(took[who.name], time.Since(began))
			}
		}
		c.row(m[0], took)
	}
	return nil
}

// boots stops both daemons, which leave no running container, and starts them again.
func (c *comparison) boots() error {
	took := map[string]times{}
	for _, d := range c.daemons() {
		if err := remove(d, "bench-alive"); err != nil {
			return err
		}
	}
	for range 3 {
		for _, d := range c.daemons() {
			if err := d.Stop(); err != nil {
				return err
			}
			began := time.Now()
			if err := d.Start(); err != nil {
				return err
			}
			took[c.name(d)] = append(took[c.name(d)], time.Since(began))
		}
	}
	c.row(rowBoot, took)
	return nil
}

// memory is the PSS of both in MB.
func (c *comparison) memory() [2]float64 { return [2]float64{pss(c.engine), pss(c.dockerd)} }

// stillness counts how often the threads of each wake up while nothing happens.
func (c *comparison) stillness() (woken [2]int, err error) {
	count := func() (n [2]int) {
		for i, d := range c.daemons() {
			for _, pid := range leak.Helpers(d.Dir) {
				n[i] += switches(pid)
			}
		}
		return n
	}
	before := count()
	time.Sleep(5 * time.Second)
	after := count()
	for i := range woken {
		woken[i] = after[i] - before[i]
	}
	return woken, nil
}

// switches is how often the threads of a process went to sleep of their own will.
func switches(pid int) (n int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(b), "\n") {
			if v, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				i, _ := strconv.Atoi(strings.TrimSpace(v))
				n += i
			}
		}
	}
	return n
}

// atOnce does n things, some at a time.
func atOnce(n, width int, f func(i int) error) (time.Duration, error) {
	errs := make([]error, n)
	turns := make(chan int)
	began := time.Now()
	var wg sync.WaitGroup
	for range width {
		wg.Go(func() {
			for i := range turns {
				errs[i] = f(i)
			}
		})
	}
	for i := range n {
		turns <- i
	}
	close(turns)
	wg.Wait()
	return time.Since(began), errors.Join(errs...)
}

func start(d *harness.Daemon, name string) error {
	return d.JSON("POST", "/containers/"+name+"/start", nil, nil)
}

func remove(d *harness.Daemon, name string) error {
	return d.JSON("DELETE", "/containers/"+name+"?force=1", nil, nil)
}
