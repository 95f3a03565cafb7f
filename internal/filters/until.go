package filters

import (
	"strconv"
	"strings"
	"time"

	"github.com/jobengine/engine/internal/errs"
)

// Until reads the one moment of the key "until"; zero if there is none. Errors
// have the class invalid.
func (a Args) Until(now time.Time) (time.Time, error) {
	switch len(a["until"]) {
	case 0:
		return time.Time{}, nil
	case 1:
		return ParseTime(a["until"][0], now)
	}
	return time.Time{}, errs.Invalid("more than one until filter specified")
}

// Pruned tells whether something that was made at a moment and has these labels
// is among what a prune with the keys until, label and label! wants. Until is
// what Args.Until gave.
func (a Args) Pruned(created, until time.Time, labels map[string]string) bool {
	if !until.IsZero() && created.After(until) {
		return false
	}
	return a.Labels("label", labels) && !(a.Has("label!") && a.Labels("label!", labels))
}

// ParseTime reads a moment of a filter: seconds since 1970 with a fraction, RFC
// 3339 or its begin, or a duration before now.
func ParseTime(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02", "2006-01-02Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	seconds, fraction, _ := strings.Cut(text, ".")
	if s, err := strconv.ParseInt(seconds, 10, 64); err == nil && len(fraction) <= 9 {
		n, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
		if err == nil && n >= 0 {
			return time.Unix(s, n), nil
		}
	}
	return time.Time{}, errs.Invalid("invalid filter 'until=%s'", text)
}
