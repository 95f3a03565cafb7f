package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A file of commands, as README.md describes it.
type file struct {
	Name  string
	Rules []*rule // hold for every step of the file
	// Bridge: each daemon is on a host of its own, a network namespace, with the default bridge.
	Bridge bool
	Cases  []*testCase
}

type testCase struct {
	File  *file
	Title string
	Line  int
	Rules []*rule // hold for every step of the case
	Steps []*step
}

// Name is what -run matches and reports show.
func (c *testCase) Name() string { return c.File.Name + "/" + c.Title }

type step struct {
	Line    int
	Command string
	Rules   []*rule
}

// A rule is one directive.
type rule struct {
	Line    int
	Verb    string // only, sub, drop, sort, json, known
	Pattern *regexp.Regexp
	Replace string          // sub
	Clients map[string]bool // only, known; nil: all
	Reason  string          // known
	Test    string          // known

	occurred map[string]bool // known: by client
}

func (r *rule) concerns(client string) bool { return r.Clients == nil || r.Clients[client] }

func parseFile(path string) (*file, error) {
	fd, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer fd.Close()
	f := &file{Name: strings.TrimSuffix(filepath.Base(path), ".parity")}
	var c *testCase
	var s *step     // the last command of the case
	inside := false // its text may go on
	lines := bufio.NewScanner(fd)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "#"):
			inside = false
		case strings.HasPrefix(line, "== "):
			c = &testCase{File: f, Title: strings.TrimSpace(line[3:]), Line: n}
			for _, other := range f.Cases {
				if other.Title == c.Title {
					return nil, fmt.Errorf("%s:%d: two cases are called %q", path, n, c.Title)
				}
			}
			f.Cases = append(f.Cases, c)
			s, inside = nil, false
		case strings.HasPrefix(line, "% "):
			r, err := parseRule(line[2:])
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, n, err)
			}
			r.Line, inside = n, false
			switch {
			case r.Verb == "bridge" && c != nil:
				return nil, fmt.Errorf("%s:%d: bridge holds for a whole file and stands at its top", path, n)
			case r.Verb == "bridge":
				f.Bridge = true
				f.Rules = append(f.Rules, bridgeRules()...)
			case c == nil:
				f.Rules = append(f.Rules, r)
			case s == nil:
				c.Rules = append(c.Rules, r)
			default:
				s.Rules = append(s.Rules, r)
			}
		case strings.HasPrefix(line, "$ "):
			if c == nil {
				return nil, fmt.Errorf("%s:%d: a command outside a case", path, n)
			}
			s, inside = &step{Line: n, Command: line[2:]}, true
			c.Steps = append(c.Steps, s)
		case inside:
			s.Command += "\n" + line
		case strings.TrimSpace(line) != "":
			return nil, fmt.Errorf("%s:%d: neither a command, a directive, a title nor a comment: %q", path, n, line)
		}
	}
	for _, c := range f.Cases {
		if len(c.Steps) == 0 {
			return nil, fmt.Errorf("%s:%d: case %q has no command", path, c.Line, c.Title)
		}
		for _, s := range c.Steps {
			s.Command = strings.TrimRight(s.Command, "\n\t ")
		}
	}
	return f, lines.Err()
}

// The directives:
//
//	only CLIENT,CLIENT…
//	sub REGEX => TEXT
//	drop REGEX
//	sort
//	json
//	bridge (at the top of a file)
//	known CLIENT,CLIENT…|all REGEX :: REASON (TestName)
func parseRule(text string) (*rule, error) {
	verb, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	r := &rule{Verb: verb}
	pattern := ""
	switch verb {
	case "sort", "json", "bridge":
		return r, nil
	case "only":
		r.Clients = clientSet(rest)
		return r, nil
	case "drop":
		pattern = rest
	case "sub":
		from, to, ok := strings.Cut(rest+" ", " => ")
		if !ok {
			return nil, fmt.Errorf("sub wants: REGEX => TEXT")
		}
		pattern, r.Replace = from, strings.TrimSuffix(to, " ")
	case "known":
		clients, more, _ := strings.Cut(rest, " ")
		expr, why, ok := strings.Cut(more, " :: ")
		named := regexp.MustCompile(`^(.+) \((Test\w+)\)$`).FindStringSubmatch(strings.TrimSpace(why))
		if !ok || named == nil {
			return nil, fmt.Errorf("known wants: CLIENTS REGEX :: REASON (TestName)")
		}
		r.Clients, pattern, r.Reason, r.Test = clientSet(clients), strings.TrimSpace(expr), named[1], named[2]
		r.occurred = map[string]bool{}
	default:
		return nil, fmt.Errorf("unknown directive %q", verb)
	}
	var err error
	r.Pattern, err = regexp.Compile("(?m)" + pattern)
	return r, err
}

// bridgeRules hide what each daemon chooses on its own where it has a bridge: names of interfaces, MACs (those of
// a test begin with aa:), subnets out of 172.18.0.0 to 172.31.0.0, and addresses in these and in the default bridge's.
func bridgeRules() []*rule {
	var list []*rule
	for _, s := range [][2]string{
		{`\b(docker0|engine0|engine-[0-9a-f]{8})\b`, "<bridge>"},
		{`\b([0-9bcdef][0-9a-f]|a[0-9b-f])(:[0-9a-f]{2}){5}\b`, "<mac>"},
		{`\b172\.(1[89]|2\d|3[01])\.`, "172.<n>."},
		{`\b172\.(17|<n>)\.0\.([2-9]|\d{2,3})\b`, "172.$1.0.<host>"},
		{`\bveth[0-9a-f]{7}\b`, "<veth>"},
	} {
		list = append(list, &rule{Verb: "sub", Pattern: regexp.MustCompile(s[0]), Replace: s[1]})
	}
	return list
}

func clientSet(list string) map[string]bool {
	if list == "all" {
		return nil
	}
	set := map[string]bool{}
	for _, name := range strings.Split(list, ",") {
		set[strings.TrimSpace(name)] = true
	}
	return set
}

// rules are all that hold for a step, the widest first.
func (c *testCase) rules(s *step) []*rule {
	all := append([]*rule{}, c.File.Rules...)
	all = append(all, c.Rules...)
	return append(all, s.Rules...)
}

// wants says whether the case is meant for this client.
func (c *testCase) wants(client string) bool {
	for _, r := range append(append([]*rule{}, c.File.Rules...), c.Rules...) {
		if r.Verb == "only" && !r.concerns(client) {
			return false
		}
	}
	return true
}
