package table

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/docker/go-units"
)

// Size prints bytes with three digits and a decimal unit: "4.26MB".
func Size(bytes int64) string { return units.HumanSizeWithPrecision(float64(bytes), 3) }

// Ago prints how long ago a Unix time was: "2 hours ago".
func Ago(unix int64) string {
	return units.HumanDuration(time.Since(time.Unix(unix, 0))) + " ago"
}

// ShortID cuts an id to 12 digits, without the digest's algorithm.
func ShortID(id string) string {
	if i := strings.IndexByte(id, ':'); i >= 0 {
		id = id[i+1:]
	}
	if len(id) > 12 {
		id = id[:12]
	}
	return id
}

// Ellipsis cuts s to max characters; the last of a text that was cut is "…".
func Ellipsis(s string, max int) string {
	if utf8.RuneCountInString(s) <= max {
		return s
	}
	r := []rune(s)
	return string(r[:max-1]) + "…"
}
