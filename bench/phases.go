package main

import (
	"bufio"
	"cmp"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jobengine/engine/internal/phase"
	"github.com/jobengine/engine/test/harness"
)

// phases prints where the time of one `run --rm` goes: medians of
// many cold starts, from the marks that client, daemon and supervisor write.
func phases(args []string) (err error) {
	flags := flag.NewFlagSet("phases", flag.ExitOnError)
	rounds := flags.Int("rounds", 25, "starts")
	verb := flags.String("verb", "run", "run (without network), run-bridge, run-port")
	idle := flags.Duration("idle", 100*time.Millisecond, "pause before each")
	verbose := flags.Bool("v", false, "also the steps of libcontainer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, err := newBench()
	if err != nil {
		return err
	}
	defer b.close(&err)
	trace := filepath.Join(b.dir, "trace")
	options := harness.Options{ExecRoot: filepath.Join(b.runDir, "engine"), Env: []string{phase.Variable + "=" + trace}}
	if *verb != "run" {
		options.DefaultBridge, options.Wrap = true, ownNetwork
	}
	engine, err := harness.StartEngine(options)
	if err != nil {
		return err
	}
	b.undo = append(b.undo, engine.Destroy)
	if err := b.load(engine); err != nil {
		return err
	}
	own, err := harness.EngineCLI()
	if err != nil {
		return err
	}
	c := &contender{name: "engine", daemon: engine, cli: own, env: []string{phase.Variable + "=" + trace}}
	var runs [][]mark
	for i := -3; i < *rounds; i++ {
		if err := os.Truncate(trace, 0); err != nil {
			return err
		}
		time.Sleep(*idle)
		began := time.Now()
		if err := c.run(c.command(*verb)); err != nil {
			return err
		}
		ended := time.Now()
		marks, err := readMarks(trace)
		if err != nil {
			return err
		}
		if i >= 0 {
			all := append([]mark{{began.UnixNano(), "the command is typed"}}, marks...)
			runs = append(runs, append(all, mark{ended.UnixNano(), "the command is over"}))
		}
	}
	if code, text, _, err := engine.Do(http.MethodGet, "/_ping", nil); err != nil || code != http.StatusOK {
		return fmt.Errorf("the daemon is not well: %d %s %v", code, text, err)
	}
	fmt.Printf("phases of `%s`: medians of %d starts after %s of rest, in ms; load %s\n\n", strings.Join(c.command(*verb)[1:], " "), *rounds, *idle, load())
	fmt.Printf("| at | took | who | what is done then |\n|---|---|---|---|\n")
	before := 0.0
	for _, p := range summary(runs) {
		who, step, _ := strings.Cut(p.step, " ")
		if who == "init" && !*verbose {
			continue
		}
		fmt.Printf("| %.1f | %.1f | %s | %s |\n", p.at, p.at-before, who, step)
		before = p.at
	}
	return nil
}

type mark struct {
	at   int64 // nanoseconds
	step string
}

var variable = regexp.MustCompile(`\[\d+\]|\b[0-9a-f]{12,}\b|/[^ ]*|\d{3,}`)

// readMarks reads the trace of one start, in the order of time. What differs
// from start to start is taken out of the steps' names.
func readMarks(trace string) ([]mark, error) {
	f, err := os.Open(trace)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var marks []mark
	for lines := bufio.NewScanner(f); lines.Scan(); {
		at, step, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("trace line %q: %w", lines.Text(), err)
		}
		marks = append(marks, mark{n, variable.ReplaceAllString(step, "…")})
	}
	slices.SortStableFunc(marks, func(a, b mark) int { return cmp.Compare(a.at, b.at) })
	return marks, nil
}

type step struct {
	step string
	at   float64 // ms since the beginning
}

// summary gives the medians of each step that most starts had.
func summary(runs [][]mark) []step {
	type key struct {
		step string
		nth  int
	}
	at := map[key]times{}
	for _, run := range runs {
		seen := map[string]int{}
		for _, m := range run {
			k := key{m.step, seen[m.step]}
			seen[m.step]++
			at[k] = append(at[k], time.Duration(m.at-run[0].at))
		}
	}
	var list []step
	for k, ts := range at {
		if 2*len(ts) > len(runs) {
			list = append(list, step{k.step, ms(ts.median())})
		}
	}
	slices.SortFunc(list, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return list
}
