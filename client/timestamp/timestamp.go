// Package timestamp reads the times of --since and --until.
package timestamp

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// layouts without a zone are in the reference's; each is tried with one too.
func layouts() []string {
	return []string{
		"2006-01-02T15:04:05.999999999",
		"2006-01-02T15:04",
		"2006-01-02T15",
		"2006-01-02",
	}
}

// Parse turns a duration before now ("10m"), a date or time (RFC 3339, parts
// may be missing) or Unix seconds with or without a fraction into what the API
// takes: seconds, with nine digits of fraction where there is one.
func Parse(s string, now time.Time) (string, error) {
	if d, err := time.ParseDuration(s); err == nil && s != "0" {
		return strconv.FormatInt(now.Add(-d).Unix(), 10), nil
	}
	for _, layout := range layouts() {
		t, err := time.ParseInLocation(layout, s, now.Location())
		if err != nil {
			t, err = time.Parse(layout+"Z07:00", s)
		}
		if err == nil {
			return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()), nil
		}
	}
	seconds, fraction, _ := strings.Cut(s, ".")
	if _, err := strconv.ParseInt(seconds, 10, 64); err != nil || strings.Trim(fraction, "0123456789") != "" {
		return "", fmt.Errorf("failed to parse value as time or duration: %q", s)
	}
	return s, nil
}
