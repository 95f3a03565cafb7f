package server

import (
	"strconv"
	"strings"

	"github.com/jobengine/engine/internal/errs"
)

// apiVersion is the second number of an API version: 41 for 1.41. There has
// only ever been a first number of 1.
type apiVersion int

// before tells whether the client speaks an older version than 1.minor.
func (v apiVersion) before(minor int) bool { return int(v) < minor }

func (v apiVersion) String() string { return "1." + strconv.Itoa(int(v)) }

// The limits as numbers.
const (
	minVersion apiVersion = 24
	maxVersion apiVersion = 56
)

// splitVersion takes a leading /vX.Y off a path. Paths without one mean the newest.
func splitVersion(path string, oldest apiVersion) (v apiVersion, rest string, err error) {
	if len(path) < 3 || path[1] != 'v' || path[2] < '0' || path[2] > '9' {
		return maxVersion, path, nil
	}
	text, rest, ok := strings.Cut(path[2:], "/")
	if !ok {
		return maxVersion, path, nil
	}
	rest = "/" + rest
	if oldest == minVersion && isArchive(rest) {
		v, err = parseVersion(text, archiveVersion)
		return max(v, minVersion), rest, err
	}
	v, err = parseVersion(text, oldest)
	return v, rest, err
}

// archiveVersion is the oldest version of the routes that load and save images.
// They have not changed since, and skopeo, which wants nothing else, asks for
// 1.22 whatever the daemon can do.
const archiveVersion apiVersion = 22

func isArchive(path string) bool {
	path, ok := strings.CutPrefix(path, "/images/")
	return ok && (path == "load" || path == "get" || strings.HasSuffix(path, "/get"))
}

func parseVersion(text string, oldest apiVersion) (apiVersion, error) {
	majorText, minorText, _ := strings.Cut(text, ".")
	if minorText == "" {
		minorText = "0"
	}
	major, err1 := strconv.ParseUint(majorText, 10, 31)
	minor, err2 := strconv.ParseUint(minorText, 10, 31)
	switch {
	case err1 != nil || err2 != nil:
		return 0, errs.Invalid("invalid client version %q: want two numbers as in 1.41", text)
	case major > 1 || apiVersion(minor) > maxVersion && major == 1:
		return 0, errs.Invalid("client version %s is too new. Maximum supported API version is %s", text, MaxAPIVersion)
	case major < 1 || apiVersion(minor) < oldest:
		return 0, errs.Invalid("client version %s is too old. Minimum supported API version is %s, please upgrade your client to a newer version", text, oldest)
	}
	return apiVersion(minor), nil
}
