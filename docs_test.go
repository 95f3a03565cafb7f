package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jobengine/engine/client"
	"github.com/jobengine/engine/daemon"
)

var update = flag.Bool("update", false, "write docs/cli.md anew")

// The command reference is made of what the commands say of themselves.
func TestTheCommandReferenceIsCurrent(t *testing.T) {
	const path = "docs/cli.md"
	want := reference(t)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s does not say what the commands say; run: go test -run Reference . -update", path)
	}
}

func reference(t *testing.T) string {
	var b strings.Builder
	b.WriteString("# Commands\n\nMade by `go test -run Reference . -update` from the commands' own help.\n")
	section := func(level, title, text string) {
		fmt.Fprintf(&b, "\n%s %s\n\n```\n%s\n```\n", level, title, strings.TrimSpace(text))
	}
	section("##", "engine", help(t))
	section("##", "engine -d", daemon.Usage())
	for _, name := range listed(help(t)) {
		text := help(t, name)
		section("##", "engine "+name, text)
		for _, member := range listed(text) {
			if strings.Contains(text, "Usage:  engine "+name+" COMMAND") {
				section("###", "engine "+name+" "+member, help(t, name, member))
			}
		}
	}
	return b.String()
}

// listed finds the names in the lists of commands of a help text.
func listed(text string) []string {
	var names []string
	_, lists, _ := strings.Cut(text, "Commands:\n")
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z][a-z-]*) {2,}\S`).FindAllStringSubmatch(lists, -1) {
		names = append(names, m[1])
	}
	return names
}

func help(t *testing.T, words ...string) string {
	t.Setenv("HOME", "/root") // it is in the help
	t.Setenv("DOCKER_HOST", "unix:///nonexistent.sock")
	var out, err bytes.Buffer
	cli := client.New(client.WithStreams(strings.NewReader(""), &out, &err))
	if code := cli.Run(context.Background(), append(words, "--help")); code != 0 {
		t.Fatalf("engine %s --help: exit code %d: %s", strings.Join(words, " "), code, &err)
	}
	return out.String()
}

func TestLinksInTheDocsLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, page := range []string{"README.md", "docs/ARCHITECTURE.md", "docs/guide.md", "docs/drivers.md", "docs/FEATURES.md", "docs/ROADMAP.md", "docs/performance.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Error(err)
			continue
		}
		dir := ""
		if i := strings.LastIndexByte(page, '/'); i >= 0 {
			dir = page[:i+1]
		}
		code := regexp.MustCompile("(?m)^    .*$")
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
			if _, err := os.Stat(dir + m[1]); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

func TestEveryFeatureNamesATestThatExists(t *testing.T) {
	text, err := os.ReadFile("docs/FEATURES.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	define := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range define.FindAllSubmatch(source, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| capability") {
			continue
		}
		rows++
		named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(line, -1)
		if len(named) == 0 && !strings.Contains(line, "parity") {
			t.Errorf("no test is named: %s", line)
		}
		for _, m := range named {
			if !there[m[1]] {
				t.Errorf("there is no test %s: %s", m[1], line)
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d rows were found", rows)
	}
}
