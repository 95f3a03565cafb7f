// Leakcheck fails a run that leaves something behind.
//
//	leakcheck COMMAND [ARG...]
//
// It looks at the machine before and after the command: processes, mounts,
// namespaces, interfaces, firewall rules, cgroups, and files in the folders where
// a careless program leaves some.
//
// As root it runs the command in a room of its own: new namespaces of processes,
// mounts, IPC and network, and its own /tmp, /var/tmp and /dev/shm. What others do on
// the machine meanwhile neither disturbs nor is disturbed, and what is left behind
// in spite of all ends with the room. LEAKCHECK_ROOM=0 stays outside, for a
// command that needs the machine's network.
//
// LEAKCHECK_ONLY=REGEX reports only what matches, for a machine on which others
// work at the same time.
package main

import (
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

// What the oracle, its containerd and runc make for themselves, whatever roots they are given.
var oracles = []string{"/etc/docker", "/run/docker", "/run/containerd", "/run/runc", "/var/lib/containerd", "/var/lib/docker"}

func main() {
	err := errors.New("usage: leakcheck COMMAND [ARG...]")
	switch {
	case len(os.Args) < 2:
	case os.Args[0] == insideName:
		err = inside(os.Args[1], os.Args[2:])
	case os.Getuid() == 0 && os.Getenv("LEAKCHECK_ROOM") != "0":
		err = room(os.Args[1:])
	default:
		err = check(os.Args[1:], func(cmd *exec.Cmd) error { return cmd.Run() })
	}
	if err == nil {
		return
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || os.Args[0] == insideName {
		fmt.Fprintln(os.Stderr, "leakcheck:", err)
	}
	os.Exit(1)
}

// check runs a command and compares the machine after it with the one before.
func check(args []string, run func(*exec.Cmd) error) error {
	before := leak.Take(watched...)
	for _, path := range oracles {
		before["file"][path] = ""
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), leak.RunMark)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return errors.Join(run(cmd), compare(before))
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
		reap()
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
