package server

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/filters"
)

func (r *request) get(key string) string { return r.form.Get(key) }

// flag reads a boolean as docker does: "", 0, no, false and none are false,
// all else is true.
func (r *request) flag(key string) bool {
	switch strings.ToLower(strings.TrimSpace(r.form.Get(key))) {
	case "", "0", "no", "false", "none":
		return false
	}
	return true
}

// number reads an integer; "" is unset.
func (r *request) number(key string, unset int) (int, error) {
	text := r.form.Get(key)
	if text == "" {
		return unset, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, errs.Invalid("invalid value for %s: %w", key, err)
	}
	return n, nil
}

// size reads a height or width in characters, which must be there.
func (r *request) size(key string) (uint16, error) {
	text := r.form.Get(key)
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, errs.Invalid("invalid value for %s: %w", key, err)
	}
	// The kernel has 16 bits for it.
	return uint16(min(n, math.MaxUint16)), nil
}

// filters reads the filters, in either of their shapes.
func (r *request) filters() (filters.Args, error) { return filters.Parse(r.form.Get("filters")) }

// moment reads a time in seconds since 1970, with up to nine decimals. "" and
// "0" are no time.
func (r *request) moment(key string) (time.Time, error) {
	text := r.form.Get(key)
	if text == "" || text == "0" {
		return time.Time{}, nil
	}
	t, err := parseMoment(text)
	if err != nil {
		return time.Time{}, errs.Invalid("invalid value for %s: %w", key, err)
	}
	return t, nil
}

func parseMoment(text string) (time.Time, error) {
	whole, frac, _ := strings.Cut(text, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return t, nil
		}
		return time.Time{}, err
	}
	var nsec int64
	if frac != "" {
		if len(frac) > 9 {
			frac = frac[:9]
		}
		n, err := strconv.ParseUint(frac, 10, 64)
		if err != nil {
			return time.Time{}, err
		}
		for range 9 - len(frac) {
			n *= 10
		}
		nsec = int64(n)
	}
	return time.Unix(sec, nsec), nil
}
