package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// maxPackageInit bounds what every start of the program pays before main:
// each client command, and, in a build without the small supervisor, each
// container.
const maxPackageInit = 2 * time.Millisecond

// This test binary links everything that the program links, and a little more.
// It starts itself several times and counts the best one, since the machine
// may be busy.
func TestPackageInitialisationIsCheap(t *testing.T) {
	best := time.Hour
	var slowest string
	for range 15 {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
		var trace strings.Builder
		cmd.Stderr = &trace
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		total, packages, worst := sumInitTrace(t, trace.String())
		if packages < 30 {
			t.Fatalf("the trace has only %d packages:\n%s", packages, trace.String())
		}
		if total < best {
			best, slowest = total, worst
		}
	}
	t.Logf("package initialisation takes %v", best)
	if best > maxPackageInit {
		t.Errorf("package initialisation takes %v, more than %v; the slowest are:\n%s", best, maxPackageInit, slowest)
	}
}

// sumInitTrace adds up lines such as
// "init internal/bytealg @0.008 ms, 0.012 ms clock, 0 bytes, 0 allocs".
func sumInitTrace(t *testing.T, trace string) (total time.Duration, packages int, slow string) {
	for _, line := range strings.Split(trace, "\n") {
		rest, ok := strings.CutPrefix(line, "init ")
		if !ok {
			continue
		}
		_, rest, _ = strings.Cut(rest, " ms, ")
		clock, _, ok := strings.Cut(rest, " ms clock")
		if !ok {
			t.Fatalf("cannot read the trace line %q", line)
		}
		ms, err := strconv.ParseFloat(clock, 64)
		if err != nil {
			t.Fatal(err)
		}
		packages++
		total += time.Duration(ms * float64(time.Millisecond))
		if ms > 0.1 {
			slow += line + "\n"
		}
	}
	return total, packages, slow
}
