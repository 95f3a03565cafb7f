package archive

import (
	"fmt"
	"path"
	"strings"

	"github.com/jobengine/engine/internal/errs"
)

// maxName bounds names; it is the kernel's PATH_MAX.
const maxName = 4096

// cleanName gives an entry's place relative to the root, "" for the root itself.
// A leading slash means the root; ".." beyond it is refused.
func cleanName(name string) (string, error) {
	if name == "" {
		return "", errs.Invalid("entry without a name")
	}
	if len(name) > maxName {
		return "", errs.Invalid("entry %q…: name of %d bytes, at most %d are possible", name[:64], len(name), maxName)
	}
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("%w: %q", ErrBreakout, name)
	}
	if clean == "." {
		return "", nil
	}
	return clean, nil
}

// split cuts a clean name into its folder, "" for the root, and its last part.
func split(name string) (dir, base string) {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}
