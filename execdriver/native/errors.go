package native

import (
	"errors"
	"strings"

	"github.com/opencontainers/runc/libcontainer"

	"github.com/jobengine/engine/execdriver"
)

// classed keeps libcontainer's text, which docker's clients match, and adds the class.
type classed struct {
	text  string
	class error
}

func (e classed) Error() string { return e.text }
func (e classed) Unwrap() error { return e.class }

// classify is the only place that reads a text of libcontainer: what went wrong
// inside the container's init comes back from there as a sentence and nothing
// else. errors_test.go holds these sentences to the library that is linked in.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, libcontainer.ErrNotExist):
		return execdriver.ErrNotFound
	case errors.Is(err, libcontainer.ErrExist):
		return execdriver.ErrExists
	case errors.Is(err, libcontainer.ErrNotRunning):
		return execdriver.ErrNotRunning
	}
	// runc before 1.2, and every client that learned from it, has no such words.
	text := strings.Replace(err.Error(), "error during container init: ", "", 1)
	const prefix = "unable to start container process: "
	reason, isStart := strings.CutPrefix(text, prefix)
	switch {
	case !isStart:
		return err
	case !strings.HasPrefix(reason, "exec: ") && !strings.HasPrefix(reason, "chdir to cwd"):
		return classed{text, err}
	case has(reason, "executable file not found in $PATH", "no such file or directory"):
		return classed{text, execdriver.ErrNoProgram}
	case has(reason, "permission denied", "is a directory", "not a directory"):
		return classed{text, execdriver.ErrNotExecutable}
	}
	return classed{text, err}
}

func has(text string, ends ...string) bool {
	for _, end := range ends {
		if strings.HasSuffix(text, end) {
			return true
		}
	}
	return false
}
