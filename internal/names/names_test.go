package names

import (
	"regexp"
	"testing"

	"gotest.tools/v3/assert"
)

func TestRandomNamesAreValidContainerNames(t *testing.T) {
	valid := regexp.MustCompile(`^[a-z]+_[a-z]+[0-9]*$`)
	for attempt := range 6 {
		for range 200 {
			name := Random(attempt)
			assert.Assert(t, valid.MatchString(name), name)
		}
	}
}

func TestNoWordIsListedTwice(t *testing.T) {
	seen := map[string]bool{}
	for _, list := range [][]string{adjectives[:], surnames[:]} {
		for _, w := range list {
			assert.Assert(t, !seen[w], w)
			seen[w] = true
		}
	}
}
