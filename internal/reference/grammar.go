package reference

import "strings"

// split takes name[:tag][@digest] apart and checks each part's form.
func split(s string) (n name, tag, sum string, ok bool) {
	s, sum, hasSum := strings.Cut(s, "@")
	if hasSum && !isDigest(sum) {
		return n, "", "", false
	}
	// A tag has no slash, so that a colon before one belongs to a port.
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') {
		s, tag = s[:i], s[i+1:]
		if !isTag(tag) {
			return n, "", "", false
		}
	}
	n, ok = splitName(s)
	return n, tag, sum, ok
}

// splitName takes [domain/]path apart. A first part that could be both is the domain.
func splitName(s string) (name, bool) {
	if first, rest, slash := strings.Cut(s, "/"); slash && isDomain(first) && isPath(rest) {
		return name{first, rest}, true
	}
	return name{"", s}, isPath(s)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isAlpha(c byte) bool { return isLower(c) || c >= 'A' && c <= 'Z' }
func isHex(c byte) bool   { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

// all says that s is not empty and has only such bytes.
func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return s != ""
}

// isID: 64 lower-case hexadecimal digits.
func isID(s string) bool {
	return len(s) == 64 && all(s, func(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' })
}

func isTag(s string) bool {
	if s == "" || len(s) > 128 || s[0] == '.' || s[0] == '-' {
		return false
	}
	return all(s, func(c byte) bool { return isAlpha(c) || isDigit(c) || c == '_' || c == '.' || c == '-' })
}

// isDigest: an algorithm of words joined by one of - _ + . each, a colon, and
// 32 hexadecimal digits or more.
func isDigest(s string) bool {
	algorithm, hex, ok := strings.Cut(s, ":")
	if !ok || len(hex) < 32 || !all(hex, isHex) {
		return false
	}
	begin := true
	for i := range len(algorithm) {
		c := algorithm[i]
		switch {
		case isAlpha(c), isDigit(c) && !begin:
			begin = false
		case !begin && strings.IndexByte("-_+.", c) >= 0:
			begin = true
		default:
			return false
		}
	}
	return !begin
}

func isPath(s string) bool {
	for _, component := range strings.Split(s, "/") {
		if !isComponent(component) {
			return false
		}
	}
	return true
}

// isComponent: words of a-z and 0-9, joined by one dot, one or two
// underscores, or any number of dashes.
func isComponent(s string) bool {
	word := func(c byte) bool { return isLower(c) || isDigit(c) }
	for i := 0; i < len(s); {
		start := i
		for i < len(s) && word(s[i]) {
			i++
		}
		if i == start {
			return false
		}
		if i == len(s) {
			return true
		}
		start = i
		for i < len(s) && !word(s[i]) {
			i++
		}
		switch joint := s[start:i]; {
		case joint == ".", joint == "_", joint == "__", strings.Trim(joint, "-") == "":
		default:
			return false
		}
	}
	return false
}

// isDomain: a DNS name, whose parts may have dashes inside, or an IPv6 address
// in brackets, and a port.
func isDomain(s string) bool {
	host := s
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host = s[:i]
		if !all(s[i+1:], isDigit) {
			return false
		}
	}
	if rest, ok := strings.CutPrefix(host, "["); ok {
		address, ok := strings.CutSuffix(rest, "]")
		return ok && all(address, func(c byte) bool { return isHex(c) || c == ':' })
	}
	for _, part := range strings.Split(host, ".") {
		if part == "" || part[0] == '-' || part[len(part)-1] == '-' {
			return false
		}
		if !all(part, func(c byte) bool { return isAlpha(c) || isDigit(c) || c == '-' }) {
			return false
		}
	}
	return true
}
