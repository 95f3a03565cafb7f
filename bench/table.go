package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jobengine/engine/test/harness"
	"github.com/jobengine/engine/test/leak"
)

type table struct {
	contenders []*contender
	rows       map[string]map[string]times
	each       [2]float64 // PSS of an idle container in MB, ours and theirs
}

// The contenders that the bars are about.
const (
	ours   = "engine"
	theirs = "dockerd+docker20"
)

// times of one contender at one verb.
type times []time.Duration

func (t times) at(part float64) time.Duration {
	s := slices.Clone(t)
	slices.Sort(s)
	return s[min(len(s)-1, int(part*float64(len(s))))]
}

func (t times) median() time.Duration { return t.at(0.5) }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (t *table) head() {
	fmt.Printf("%-36s", "")
	for _, c := range t.contenders {
		fmt.Printf(" %18s", c.name)
	}
	fmt.Printf("  %10s %9s\n", "dockerd/us", "us/runc")
}

func (t *table) row(title string, all map[string]times) {
	if t.rows == nil {
		t.rows = map[string]map[string]times{}
	}
	t.rows[title] = all
	fmt.Printf("%-36s", title)
	for _, c := range t.contenders {
		if ts := all[c.name]; len(ts) > 0 {
			fmt.Printf(" %18s", fmt.Sprintf("%.1f (%.1f)", ms(ts.median()), ms(ts.at(0.9))))
		} else {
			fmt.Printf(" %18s", "-")
		}
	}
	fmt.Printf("  %9.2fx", t.ratio(title))
	if r := t.toRunc(title); r > 0 {
		fmt.Printf(" %8.2fx", r)
	}
	fmt.Println()
}

// ratio is how many times longer dockerd with its own client takes than the
// engine with its own.
func (t *table) ratio(title string) float64 {
	a, b := t.rows[title][theirs], t.rows[title][ours]
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	return ms(a.median()) / ms(b.median())
}

// toRunc is how many times longer the engine takes than bare runc.
func (t *table) toRunc(title string) float64 {
	a, b := t.rows[title][ours], t.rows[title]["runc"]
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	return ms(a.median()) / ms(b.median())
}

// pss is the memory of a daemon and of what it started, containers excluded, in
// MB: pages that several share count in parts.
func pss(d *harness.Daemon) float64 {
	var kb float64
	for _, pid := range leak.Helpers(d.Dir) {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(b), "\n") {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
				n, _ := strconv.ParseFloat(f[1], 64)
				kb += n
			}
		}
	}
	return kb / 1024
}

// load is the machine's load average over the last minute: what else it did.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}
