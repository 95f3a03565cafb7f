// Leakcheck fails a run that leaves something behind.
//
//	leakcheck snapshot FILE                 look at the machine before the run
//	leakcheck compare FILE                  and after it: exit 1 and name what is new
//	leakcheck run COMMAND [ARG...]          both around a command
//
// LEAKCHECK_ONLY=REGEX reports only what matches, for a machine on which others
// work at the same time.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"time"

	"github.com/jobengine/engine/test/leak"
)

// Folders in which a careless daemon or test leaves files.
var watched = []string{"/tmp", "/var/tmp", "/dev/shm", "/run", "/run/engine", "/var/lib", "/var/lib/engine", "/etc"}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "leakcheck:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: leakcheck snapshot FILE | compare FILE | run COMMAND [ARG...]")
	}
	switch args[0] {
	case "snapshot":
		b, err := json.Marshal(leak.Take(watched...))
		if err != nil {
			return err
		}
		return os.WriteFile(args[1], b, 0o600)
	case "compare":
		b, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		var before leak.Snapshot
		if err := json.Unmarshal(b, &before); err != nil {
			return err
		}
		delete(before["file"], args[1])
		before["file"][args[1]] = "" // the snapshot itself
		return compare(before)
	case "run":
		before := leak.Take(watched...)
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		return errors.Join(cmd.Run(), compare(before))
	}
	return fmt.Errorf("unknown verb %q", args[0])
}

func compare(before leak.Snapshot) error {
	var only *regexp.Regexp
	if text := os.Getenv("LEAKCHECK_ONLY"); text != "" {
		var err error
		if only, err = regexp.Compile(text); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "leakcheck: looks only for what matches %s\n", text)
	}
	// What is ending needs a moment.
	var found []string
	for i := 0; i < 50; i++ {
		if found = leak.Compare(before, leak.Take(watched...), only); len(found) == 0 {
			fmt.Fprintln(os.Stderr, "leakcheck: nothing left behind")
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, line := range found {
		fmt.Fprintln(os.Stderr, "  left behind:", line)
	}
	return fmt.Errorf("%d things left behind", len(found))
}
