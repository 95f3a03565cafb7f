package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"

	"github.com/jobengine/engine/test/harness"
)

// keys are what a pty role does, in order: "-expect TEXT", "-type KEYS", "-resize ROWSxCOLS".
type keys []struct{ verb, text string }

func (k *keys) flag(verb string) func(string) error {
	return func(text string) error {
		*k = append(*k, struct{ verb, text string }{verb, text})
		return nil
	}
}

// pty runs a command under a terminal: pty [-expect TEXT | -type KEYS | -resize RxC]... -- COMMAND [ARG...]
// It prints all that the terminal showed and exits with the command's code.
// KEYS may hold \r, \n, \x10 and the like.
func ptyRole(args []string) int {
	var todo keys
	flags := flag.NewFlagSet("pty", flag.ExitOnError)
	for _, verb := range []string{"expect", "type", "resize"} {
		flags.Func(verb, "", todo.flag(verb))
	}
	flags.Parse(args)
	cmd := harness.Command{Path: flags.Arg(0), Args: flags.Args()[1:], Env: os.Environ()}
	if path, err := lookPath(flags.Arg(0)); err == nil {
		cmd.Path = path
	}
	t, err := cmd.Terminal()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pty:", err)
		return 99
	}
	for _, k := range todo {
		switch k.verb {
		case "expect":
			err = t.Expect(k.text)
		case "type":
			var text string
			if text, err = strconv.Unquote(`"` + strings.ReplaceAll(k.text, `"`, `\"`) + `"`); err == nil {
				err = t.Type(text)
			}
		case "resize":
			var rows, cols uint16
			if _, err = fmt.Sscanf(k.text, "%dx%d", &rows, &cols); err == nil {
				err = t.Resize(rows, cols)
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "pty:", err)
			break
		}
	}
	code, err := t.Wait()
	fmt.Print(t.Screen())
	if err != nil {
		fmt.Fprintln(os.Stderr, "pty:", err)
		return 99
	}
	return code
}

func lookPath(name string) (string, error) {
	for _, dir := range strings.Split(os.Getenv("PATH"), ":") {
		if st, err := os.Stat(dir + "/" + name); err == nil && !st.IsDir() {
			return dir + "/" + name, nil
		}
	}
	return name, os.ErrNotExist
}

// api sends one request: api [-H 'K: V']... [-i HEADER]... [-d BODY|-f FILE] METHOD PATH
// It prints status and content type, the headers asked for, and the body, JSON
// flattened to a line for each leaf. PATH gets /v1.41 before it; "bare:PATH" does not.
func apiRole(args []string) int {
	var headers, show []string
	flags := flag.NewFlagSet("api", flag.ExitOnError)
	flags.Func("H", "", func(s string) error {
		k, v, _ := strings.Cut(s, ":")
		headers = append(headers, k, strings.TrimSpace(v))
		return nil
	})
	flags.Func("i", "", func(s string) error { show = append(show, s); return nil })
	data := flags.String("d", "", "")
	file := flags.String("f", "", "")
	rawBody := flags.Bool("raw", false, "")
	flags.Parse(args)
	var body any
	given := false
	flags.Visit(func(f *flag.Flag) { given = given || f.Name == "d" })
	if given {
		body = *data
	}
	if *file != "" {
		fd, err := os.Open(*file)
		if err != nil {
			fmt.Fprintln(os.Stderr, "api:", err)
			return 99
		}
		defer fd.Close()
		body = io.Reader(fd)
	}
	d := &harness.Daemon{Socket: os.Getenv("SOCKET")}
	code, text, header, err := d.Do(flags.Arg(0), flags.Arg(1), body, headers...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "api:", err)
		return 99
	}
	fmt.Println(strings.TrimSpace(fmt.Sprintln(code, header.Get("Content-Type"))))
	sort.Strings(show)
	for _, k := range show {
		fmt.Printf("%s: %s\n", k, strings.Join(header.Values(k), ", "))
	}
	if *rawBody {
		fmt.Print(text)
	} else {
		fmt.Print(flattenAll(text))
	}
	return 0
}
