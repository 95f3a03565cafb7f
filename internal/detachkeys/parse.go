package detachkeys

import (
	"strings"

	"github.com/jobengine/engine/internal/errs"
)

// Default is the sequence when none is configured: ctrl-p,ctrl-q.
func Default() []byte { return []byte{'p' & 0x1f, 'q' & 0x1f} }

// Parse reads a sequence of keys separated by commas. A key is one character,
// ctrl- and one of @, a to z, [, \, ], ^ and _, or DEL. "" is Default. Errors
// have the class invalid.
func Parse(text string) ([]byte, error) {
	if text == "" {
		return Default(), nil
	}
	var keys []byte
	for _, word := range strings.Split(text, ",") {
		key, ok := parseKey(word)
		if !ok {
			return nil, errs.Invalid("Invalid detach keys (%s) provided", text)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func parseKey(word string) (byte, bool) {
	if len(word) == 1 {
		return word[0], true
	}
	if word == "DEL" {
		return 0x7f, true
	}
	c, ok := strings.CutPrefix(word, "ctrl-")
	if !ok || len(c) != 1 {
		return 0, false
	}
	switch k := c[0]; {
	case k >= 'a' && k <= 'z', k == '@', k >= '[' && k <= '_':
		return k & 0x1f, true
	}
	return 0, false
}
