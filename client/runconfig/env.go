package runconfig

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkEnv completes NAME with the client's own value. A name that is not set
// here goes on alone: the daemon then removes it from the image's environment.
func checkEnv(s string) (string, error) {
	name, _, hasValue := strings.Cut(s, "=")
	if name == "" {
		return "", errors.New("invalid environment variable: " + s)
	}
	if !hasValue {
		if v, ok := os.LookupEnv(name); ok {
			return name + "=" + v, nil
		}
	}
	return s, nil
}

// checkLabel wants a name without blanks before the "=".
func checkLabel(s string) (string, error) {
	name, _, _ := strings.Cut(s, "=")
	name = strings.TrimLeft(name, " \t")
	switch {
	case name == "":
		return "", fmt.Errorf("invalid label '%s': empty name", s)
	case strings.ContainsAny(name, " \t"):
		return "", fmt.Errorf("label '%s' contains whitespaces", name)
	}
	return s, nil
}

// Env puts the variables of files before those given one by one, so that the
// latter win.
func Env(files, given []string) ([]string, error) {
	return withFiles(files, given, os.LookupEnv)
}

func withFiles(files, given []string, lookup func(string) (string, bool)) ([]string, error) {
	var all []string
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		lines, err := readPairs(f, lookup)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("invalid env file (%s): %w", name, err)
		}
		all = append(all, lines...)
	}
	return append(all, given...), nil
}

// readPairs reads lines of NAME=VALUE as they stand: no quotes, no expansion.
// Blank lines and those that begin with # are skipped; a NAME alone gets its
// value from lookup or is dropped.
func readPairs(r io.Reader, lookup func(string) (string, bool)) ([]string, error) {
	var out []string
	scan := bufio.NewScanner(r)
	for n := 1; scan.Scan(); n++ {
		text := scan.Text()
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("invalid utf8 bytes at line %d: %v", n, []byte(text))
		}
		if n == 1 {
			text = strings.TrimPrefix(text, "\uFEFF")
		}
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		if text == "" || text[0] == '#' {
			continue
		}
		name, _, hasValue := strings.Cut(text, "=")
		switch {
		case name == "":
			return nil, fmt.Errorf("no variable name on line '%s'", text)
		case strings.ContainsAny(name, " \t"):
			return nil, fmt.Errorf("variable '%s' contains whitespaces", name)
		case hasValue:
			out = append(out, text)
		case lookup != nil:
			if v, ok := lookup(name); ok {
				out = append(out, name+"="+v)
			}
		}
	}
	return out, scan.Err()
}

// toMap splits NAME=VALUE; the last of a name counts.
func toMap(list []string) map[string]string {
	m := make(map[string]string, len(list))
	for _, s := range list {
		k, v, _ := strings.Cut(s, "=")
		m[k] = v
	}
	return m
}
