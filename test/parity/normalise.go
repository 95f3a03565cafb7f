package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"
	"sync"
)

// raw is what one step left, untouched; it can be cached.
type raw struct {
	Stdout, Stderr string
	Exit           string // a number, or why there is none
}

// surroundings are the parts of a side that may show in its output.
type surroundings struct {
	Work, Dir, Socket string
	Keep              []string // ids that both sides must show alike
}

// normaliser turns outputs of one case into lines that can be compared.
type normaliser struct{ around surroundings }

type pattern struct {
	re   *regexp.Regexp
	with string
}

var patterns = sync.OnceValue(func() []pattern {
	var all []pattern
	add := func(expr, with string) { all = append(all, pattern{regexp.MustCompile(expr), with}) }
	// A race of the 20.10 client with itself.
	add(`(?m)^time="[^"]*" level=error msg="error waiting for container: context canceled"\n`, "")
	// Times. The zero time is a statement and stays.
	add(`\b0001-01-01T00:00:00Z\b`, "\x01zero\x01")
	add(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`, "<time>")
	add(`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4} [A-Z]{3,4}\b`, "<date>")
	add(`\x01zero\x01`, "0001-01-01T00:00:00Z")
	add(`\bLess than a second\b|\bAbout an? (minute|hour)\b|\b\d+ (seconds?|minutes?|hours?)\b`, "<duration>")
	// "See 'engine run --help'" and "engine: Error response …": the program's own name.
	add(`(?m)^engine: `, "docker: ")
	add(`(?m)((?:See|Run) ['"]|Usage: +|^ *"?)engine `, "${1}docker ")
	add(`((?:See|Run) ['"])engine( --help|')`, "${1}docker${2}")
	add(`(['"])engine ([a-z ]+['"]) (requires|accepts)`, "${1}docker ${2} ${3}")
	add(`unknown command: engine `, "unknown command: docker ")
	// 28 says "Run 'docker run --help' for more information".
	add(`"Pid": ?[1-9]\d*`, `"Pid": <pid>`)
	add(`\.Created = [1-9]\d{8,}`, `.Created = <time>`)
	add(`docker-import-\d+`, `docker-import-<n>`)
	add(`\.Pid = [1-9]\d*`, `.Pid = <pid>`)
	return all
})

var (
	fullID  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\b[0-9a-f]{64}\b`) })
	shortID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\b[0-9a-f]{12}\b`) })
	columns = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`([^ \n])   +`) })
	trail   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?m)[ ]+$`) })
)

// lines gives the record of one step: "out: …", "err: …", and "exit: …" at the end.
func (n *normaliser) lines(r raw, rules []*rule) []string {
	out := n.text(r.Stdout)
	for _, rule := range rules {
		if rule.Verb == "json" {
			out = flattenAll(out)
		}
	}
	texts := []struct{ label, text string }{{"out", out}, {"err", n.text(r.Stderr)}}
	var all []string
	for _, t := range texts {
		text := t.text
		for _, rule := range rules {
			if rule.Verb == "sub" {
				text = rule.Pattern.ReplaceAllString(text, rule.Replace)
			}
		}
		if text == "" {
			continue
		}
		noEnd := !strings.HasSuffix(text, "\n")
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if noEnd {
			lines[len(lines)-1] += "\\c" // as echo says it: no newline at the end
		}
		for i := range lines {
			lines[i] = t.label + ": " + strings.ReplaceAll(lines[i], "\r", "\\r")
		}
		for _, rule := range rules {
			if rule.Verb == "sort" {
				sort.Strings(lines)
			}
		}
		all = append(all, lines...)
	}
	all = append(all, "exit: "+r.Exit)
	for _, rule := range rules {
		if rule.Verb == "drop" {
			all = without(all, rule.Pattern)
		}
	}
	return all
}

func without(lines []string, re *regexp.Regexp) []string {
	var kept []string
	for _, line := range lines {
		if !re.MatchString(line) {
			kept = append(kept, line)
		}
	}
	return kept
}

func (n *normaliser) text(s string) string {
	for _, place := range [][2]string{{n.around.Work, "<work>"}, {n.around.Socket, "<socket>"}, {n.around.Dir, "<dir>"}} {
		if place[0] != "" {
			s = strings.ReplaceAll(s, place[0], place[1])
		}
	}
	s = fullID().ReplaceAllStringFunc(s, n.full)
	s = shortID().ReplaceAllStringFunc(s, n.abbreviated)
	for _, p := range patterns() {
		s = p.re.ReplaceAllString(s, p.with)
	}
	// Widths of table columns follow from what is in them. Indents stay.
	s = columns().ReplaceAllString(s, "$1   ")
	return trail().ReplaceAllString(s, "")
}

func (n *normaliser) kept(id string) bool {
	for _, k := range n.around.Keep {
		if strings.HasPrefix(k, id) {
			return true
		}
	}
	return false
}

// full and abbreviated hide an id. They do not number ids: one id that only
// one side shows would then change all that follow.
func (n *normaliser) full(id string) string {
	if n.kept(id) {
		return id
	}
	return "<id>"
}

func (n *normaliser) abbreviated(id string) string {
	// Twelve digits of a number are no id.
	if n.kept(id) || !strings.ContainsAny(id, "abcdef") {
		return id
	}
	return "<id:12>"
}

// flattenAll turns JSON documents into one line for each leaf, sorted by path:
// the order of keys is no promise. What is not JSON stays as it is.
func flattenAll(text string) string {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var lines []string
	for {
		var v any
		err := dec.Decode(&v)
		if err == io.EOF {
			break
		}
		if err != nil {
			return text
		}
		var doc []string
		flatten("", v, &doc)
		lines = append(lines, doc...)
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func flatten(path string, v any, lines *[]string) {
	switch x := v.(type) {
	case map[string]any:
		if len(x) == 0 {
			*lines = append(*lines, path+" = {}")
		}
		keys := make([]string, 0, len(x))
		for k := range x {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			flatten(path+"."+k, x[k], lines)
		}
	case []any:
		if len(x) == 0 {
			*lines = append(*lines, path+" = []")
		}
		for i, e := range x {
			flatten(fmt.Sprintf("%s[%d]", path, i), e, lines)
		}
	default:
		*lines = append(*lines, path+" = "+plain(x))
	}
}

func plain(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.Encode(v)
	return strings.TrimSpace(b.String())
}
