package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/jobengine/engine/test/harness"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "pty":
			os.Exit(ptyRole(os.Args[2:]))
		case "api":
			os.Exit(apiRole(os.Args[2:]))
		}
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "parity:", err)
		os.Exit(1)
	}
}

// pairing is a client whose answers from our daemon are held against a
// reference client's answers from the oracle.
type pairing struct{ ours, reference *side }

func run() error {
	only := flag.String("run", "", "only cases whose FILE/TITLE matches this regular expression")
	clients := flag.String("clients", "docker20,docker28,engine", "clients to compare")
	self := flag.Bool("self", false, "hold the oracle against a second oracle: shows what the files fail to normalise")
	noCache := flag.Bool("no-cache", false, "ask the oracle again even where its answer is known")
	report := flag.String("report", "", "write the differences to this file too")
	showAll := flag.Bool("show", false, "print what the oracle answers, normalised, and compare nothing")
	once := flag.Bool("once", false, "do not try a case again that differs")
	verbose := flag.Bool("v", false, "name every case")
	flag.Parse()

	root, err := harness.Root()
	if err != nil {
		return err
	}
	dir := filepath.Join(root, "test", "parity")
	cases, whole, err := selectCases(dir, flag.Args(), *only)
	if err != nil {
		return err
	}
	if err := checkTests(root, cases); err != nil {
		return err
	}
	fix, err := newFixtures()
	if err != nil {
		return err
	}
	defer os.RemoveAll(fix.dir)
	harness.DestroyOnInterrupt(func() {
		// The sides go on writing until the program ends.
		for range 10 {
			os.RemoveAll(fix.dir)
			time.Sleep(30 * time.Millisecond)
		}
	})
	cache := filepath.Join(dir, ".cache")
	if *noCache || *self {
		cache = ""
	}
	pairs, sides, err := pairUp(fix, strings.Split(*clients, ","), *self, cache)
	if err != nil {
		return err
	}
	if *showAll {
		for _, s := range sides {
			if s.Oracle {
				showAnswers(s, cases)
			}
			defer s.stop()
		}
		return nil
	}
	started := time.Now()
	work := map[*side]*results{}
	var wg sync.WaitGroup
	for _, s := range sides {
		r := &results{answers: map[*testCase]answered{}}
		work[s] = r
		wg.Add(1)
		go func() {
			defer wg.Done()
			r.fill(s, cases, pairs, *verbose)
		}()
	}
	wg.Wait()

	var diffs []difference
	flaky, compared := 0, 0
	for _, p := range pairs {
		for _, c := range cases {
			if !c.wants(p.ours.Client.Name) {
				continue
			}
			compared++
			d := judge(c, p, work[p.reference].answers[c], work[p.ours].answers[c])
			if len(d) > 0 && !*once {
				// Once more on both sides: timing of the machine must not decide.
				again := judge(c, p, ask(p.reference, c, false), ask(p.ours, c, false))
				if len(again) == 0 {
					flaky++
					fmt.Printf("FLAKY %s with %s: differed once, then not\n%s\n", c.Name(), p.ours.Client.Name, indent(d[0].Diff))
				}
				d = again
			}
			diffs = append(diffs, d...)
		}
	}
	var leaks []error
	for _, s := range sides {
		if err := s.stop(); err != nil {
			leaks = append(leaks, fmt.Errorf("%s: %w", s.Name, err))
		}
	}
	gone := missing(cases, pairs, whole && !*self)
	show(os.Stdout, diffs, gone)
	if *report != "" {
		fd, err := os.Create(*report)
		if err != nil {
			return err
		}
		defer fd.Close()
		show(fd, diffs, gone)
	}
	fmt.Printf("parity: %d cases, %d comparisons, %d differing steps, %d listed differences gone, %d flaky, %s\n",
		len(cases), compared, len(diffs), len(gone), flaky, time.Since(started).Round(time.Second))
	if len(diffs)+len(gone) > 0 {
		leaks = append(leaks, errors.New("differences that no file lists"))
	}
	return errors.Join(leaks...)
}

func selectCases(dir string, names []string, only string) ([]*testCase, bool, error) {
	whole := len(names) == 0 && only == ""
	if len(names) == 0 {
		names, _ = filepath.Glob(filepath.Join(dir, "corpus", "*.parity"))
	}
	re, err := regexp.Compile(only)
	if err != nil {
		return nil, false, err
	}
	var cases []*testCase
	for _, name := range names {
		if st, err := os.Stat(name); err != nil || st.IsDir() {
			name = filepath.Join(dir, "corpus", name+".parity")
		}
		f, err := parseFile(name)
		if err != nil {
			return nil, false, err
		}
		for _, c := range f.Cases {
			if re.MatchString(c.Name()) {
				cases = append(cases, c)
			}
		}
	}
	if len(cases) == 0 {
		return nil, false, errors.New("no case matches")
	}
	return cases, whole, nil
}

// checkTests wants every test that a known difference names to exist.
func checkTests(root string, cases []*testCase) error {
	var bad []string
	seen := map[string]bool{}
	for _, c := range cases {
		for _, s := range c.Steps {
			for _, r := range c.rules(s) {
				if r.Verb != "known" || seen[r.Test] {
					continue
				}
				seen[r.Test] = true
				if exec.Command("grep", "-rq", "--include=*_test.go", "^func "+r.Test+"(", root).Run() != nil {
					bad = append(bad, fmt.Sprintf("%s:%d: no test is called %s", c.File.Name, r.Line, r.Test))
				}
			}
		}
	}
	if len(bad) > 0 {
		return errors.New(strings.Join(bad, "\n"))
	}
	return nil
}

// pairUp decides who is held against whom: a docker client against itself, the
// engine's own client against the newest docker client that is here.
func pairUp(fix *fixtures, clients []string, self bool, cache string) ([]pairing, []*side, error) {
	dockers := map[string]harness.CLI{}
	newest := ""
	for _, c := range harness.DockerCLIs() {
		dockers[c.Name] = c
		newest = c.Name
	}
	if newest == "" {
		return nil, nil, errors.New("no docker client on this machine: scripts/deps.sh test")
	}
	oracles := map[string]*side{}
	var sides []*side
	oracle := func(name string) *side {
		if oracles[name] == nil {
			oracles[name] = &side{Name: "oracle/" + name, Client: dockers[name], Oracle: true, fixtures: fix, cache: cache}
			sides = append(sides, oracles[name])
		}
		return oracles[name]
	}
	var pairs []pairing
	for _, name := range clients {
		if name == "engine" {
			if self {
				continue
			}
			cli, err := harness.EngineCLI()
			if err != nil {
				return nil, nil, err
			}
			ours := &side{Name: "engine/engine", Client: cli, fixtures: fix}
			pairs = append(pairs, pairing{ours, oracle(newest)})
			sides = append(sides, ours)
			continue
		}
		cli, ok := dockers[name]
		if !ok {
			fmt.Printf("parity: SKIPPED client %s, it is not on this machine\n", name)
			continue
		}
		ours := &side{Name: "engine/" + name, Client: cli, fixtures: fix, Oracle: self}
		if self {
			ours.Name = "second-oracle/" + name
		}
		pairs = append(pairs, pairing{ours, oracle(name)})
		sides = append(sides, ours)
	}
	if len(pairs) == 0 {
		return nil, nil, errors.New("no client to compare")
	}
	return pairs, sides, nil
}

type answered struct {
	answers  []raw
	around   surroundings
	cleaning error
	err      error
}

type results struct{ answers map[*testCase]answered }

// fill runs the cases that some pairing needs of this side.
func (r *results) fill(s *side, cases []*testCase, pairs []pairing, verbose bool) {
	for _, c := range cases {
		needed := false
		for _, p := range pairs {
			needed = needed || ((p.ours == s || p.reference == s) && c.wants(p.ours.Client.Name))
		}
		if !needed {
			continue
		}
		began := time.Now()
		r.answers[c] = ask(s, c, true)
		if verbose {
			fmt.Printf("%-16s %6dms %s\n", s.Name, time.Since(began).Milliseconds(), c.Name())
		}
	}
}

func ask(s *side, c *testCase, cached bool) answered {
	s = s.forCase(c)
	if !cached {
		defer func(dir string) { s.cache = dir }(s.cache)
		s.cache = ""
	}
	answers, around, err := s.run(c)
	a := answered{answers: answers, around: around, err: err}
	if !s.Oracle {
		a.cleaning = s.cleaning
	}
	return a
}

func judge(c *testCase, p pairing, want, got answered) []difference {
	client := p.ours.Client.Name
	for _, a := range []answered{want, got} {
		if a.err != nil {
			return []difference{{c, nil, client, a.err.Error()}}
		}
	}
	d := compare(c, client, want.answers, got.answers, want.around, got.around)
	if got.cleaning != nil {
		d = append(d, difference{c, nil, client, "cleaning up after the case: " + got.cleaning.Error()})
	}
	return d
}

// missing lists the known differences that did not occur.
func missing(cases []*testCase, pairs []pairing, whole bool) []string {
	var gone []string
	seen := map[*rule]bool{}
	for _, c := range cases {
		rules := append([]*rule{}, c.Rules...)
		if whole {
			rules = append(rules, c.File.Rules...)
		}
		for _, s := range c.Steps {
			rules = append(rules, s.Rules...)
		}
		for _, r := range rules {
			if r.Verb != "known" || seen[r] {
				continue
			}
			seen[r] = true
			for _, p := range pairs {
				client := p.ours.Client.Name
				if !p.ours.Oracle && r.concerns(client) && c.wants(client) && !r.occurred[client] {
					gone = append(gone, fmt.Sprintf("%s:%d with %s: the listed difference no longer occurs: %s", c.File.Name, r.Line, client, r.Reason))
				}
			}
		}
	}
	return gone
}

// show prints equal differences of several clients once.
func show(w interface{ Write([]byte) (int, error) }, diffs []difference, gone []string) {
	type group struct {
		first   difference
		clients []string
	}
	groups := map[string]*group{}
	var order []string
	for _, d := range diffs {
		line := 0
		if d.Step != nil {
			line = d.Step.Line
		}
		key := fmt.Sprintf("%s\x00%06d\x00%s", d.Case.File.Name, line, d.Diff)
		if groups[key] == nil {
			groups[key] = &group{first: d}
			order = append(order, key)
		}
		groups[key].clients = append(groups[key].clients, d.Client)
	}
	sort.Strings(order)
	for _, key := range order {
		g := groups[key]
		fmt.Fprintf(w, "\n%s.parity", g.first.Case.File.Name)
		if g.first.Step != nil {
			fmt.Fprintf(w, ":%d", g.first.Step.Line)
		}
		fmt.Fprintf(w, "  %s  [%s]\n", g.first.Case.Title, strings.Join(g.clients, " "))
		if g.first.Step != nil {
			fmt.Fprintf(w, "    $ %s\n", strings.ReplaceAll(g.first.Step.Command, "\n", "\n      "))
		}
		fmt.Fprint(w, indent(g.first.Diff))
	}
	for _, line := range gone {
		fmt.Fprintln(w, line)
	}
}

func showAnswers(s *side, cases []*testCase) {
	for _, c := range cases {
		fmt.Printf("\n== %s (%s)\n", c.Name(), s.Client.Name)
		a := ask(s, c, true)
		if a.err != nil {
			fmt.Println(a.err)
			continue
		}
		n := normaliser{around: a.around}
		for i, step := range c.Steps {
			fmt.Printf("$ %s\n%s", step.Command, indent(strings.Join(n.lines(a.answers[i], c.rules(step)), "\n")))
		}
	}
}

func indent(s string) string {
	return "      " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n      ") + "\n"
}
