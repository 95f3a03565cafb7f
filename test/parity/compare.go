package main

import (
	"fmt"
	"slices"
	"strings"
)

// difference is one step that did not answer alike.
type difference struct {
	Case   *testCase
	Step   *step // nil: the case as a whole
	Client string
	Diff   string
}

// compare holds a case's answers against the reference's. A known difference is
// taken out of both, and noted as having occurred.
func compare(c *testCase, client string, want, got []raw, wantAt, gotAt surroundings) []difference {
	var diffs []difference
	wn, gn := normaliser{around: wantAt}, normaliser{around: gotAt}
	for i, s := range c.Steps {
		rules := c.rules(s)
		w, g := wn.lines(want[i], rules), gn.lines(got[i], rules)
		for _, r := range rules {
			if r.Verb != "known" || !r.concerns(client) {
				continue
			}
			if !slices.Equal(matching(w, r), matching(g, r)) {
				r.occurred[client] = true
			}
			w, g = without(w, r.Pattern), without(g, r.Pattern)
		}
		if !slices.Equal(w, g) {
			diffs = append(diffs, difference{c, s, client, lineDiff(w, g)})
		}
	}
	return diffs
}

func matching(lines []string, r *rule) []string {
	var found []string
	for _, line := range lines {
		if r.Pattern.MatchString(line) {
			found = append(found, line)
		}
	}
	return found
}

// lineDiff shows both with "-" for the reference's lines and "+" for ours.
func lineDiff(a, b []string) string {
	// The longest common subsequence by the plain table; outputs are short.
	if len(a)*len(b) > 4_000_000 {
		return fmt.Sprintf("- %d lines\n+ %d lines\n", len(a), len(b))
	}
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				table[i][j] = table[i+1][j+1] + 1
			} else {
				table[i][j] = max(table[i+1][j], table[i][j+1])
			}
		}
	}
	var out strings.Builder
	same := 0
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			if same++; same <= 2 || len(a) < 12 {
				fmt.Fprintf(&out, "  %s\n", a[i])
			}
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || table[i+1][j] >= table[i][j+1]):
			fmt.Fprintf(&out, "- %s\n", a[i])
			i, same = i+1, 0
		default:
			fmt.Fprintf(&out, "+ %s\n", b[j])
			j, same = j+1, 0
		}
	}
	return out.String()
}
