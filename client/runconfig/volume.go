package runconfig

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// splitVolume tells a bind (SOURCE:TARGET[:OPTIONS], bind is true) from the
// bare TARGET of an anonymous volume. A source that begins with a dot is made
// absolute; a letter before the first colon may be a drive of another system's
// daemon and does not split.
func splitVolume(spec string) (text string, bind bool, err error) {
	if spec == "" {
		return "", false, errors.New("invalid empty volume spec")
	}
	if len(spec) <= 2 {
		return spec, false, nil
	}
	parts := splitColons(spec)
	for _, p := range parts {
		if p == "" {
			return "", false, fmt.Errorf("invalid spec: %s: empty section between colons", spec)
		}
	}
	switch {
	case len(parts) == 1:
		return spec, false, nil
	case len(parts) > 3:
		return "", false, fmt.Errorf("invalid spec: %s: too many colons", spec)
	}
	if source, rest, ok := strings.Cut(spec, ":"); ok && strings.HasPrefix(source, ".") {
		spec = absoluteIfDotted(source) + ":" + rest
	}
	return spec, true, nil
}

func splitColons(spec string) []string {
	var parts []string
	part := ""
	for _, r := range spec {
		if r == ':' && !(len([]rune(part)) == 1 && unicode.IsLetter([]rune(part)[0])) {
			parts = append(parts, part)
			part = ""
			continue
		}
		part += string(r)
	}
	return append(parts, part)
}
