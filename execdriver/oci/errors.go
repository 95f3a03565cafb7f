package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/jobengine/engine/execdriver"
)

// classed keeps the runtime's text, which docker's clients match, and adds the class.
type classed struct {
	text  string
	class error
}

func (e classed) Error() string { return e.text }
func (e classed) Unwrap() error { return e.class }

// errCannotRun: the runtime's program is missing or broken.
var errCannotRun = errors.New("the OCI runtime cannot be run")

// maxLog bounds what is read of a runtime's log.
const maxLog = 1 << 20

// failure explains the error of a call by the last error in the runtime's log.
func failure(err error, log string) error {
	var exit *exec.ExitError
	if err == nil {
		return nil
	} else if !errors.As(err, &exit) {
		return fmt.Errorf("OCI runtime: %w", err)
	}
	f, oerr := os.Open(log)
	if oerr != nil {
		return fmt.Errorf("OCI runtime: %w", err)
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, maxLog))
	if reason := lastError(text); reason != "" {
		return classify(reason)
	}
	return fmt.Errorf("OCI runtime: %w, and its log does not say why", err)
}

func lastError(log []byte) (reason string) {
	for line := range bytes.Lines(log) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal(line, &entry) == nil && (entry.Level == "error" || entry.Level == "fatal") {
			reason = entry.Msg
		}
	}
	return reason
}

// classify is the only place that reads a text of the runtime: its log is all
// that comes back. errors_test.go holds these sentences to the host's runc.
func classify(text string) error {
	// Callers say themselves what it was that failed.
	text = strings.TrimPrefix(text, "runc create failed: ")
	text = strings.TrimPrefix(text, "exec failed: ")
	reason, isStart := strings.CutPrefix(text, "unable to start container process: ")
	switch {
	case !isStart || !strings.HasPrefix(reason, "exec: ") && !strings.HasPrefix(reason, "chdir to cwd"):
	case has(reason, "executable file not found in $PATH", "no such file or directory"):
		return classed{text, execdriver.ErrNoProgram}
	case has(reason, "permission denied", "is a directory", "not a directory"):
		return classed{text, execdriver.ErrNotExecutable}
	}
	return classifyC(text)
}

// classifyC is for crun, which adds the C library's text of the error number.
func classifyC(text string) error {
	text = strings.TrimSpace(text)
	switch {
	case !strings.HasPrefix(text, "executable file ") && !strings.HasPrefix(text, "open executable") && !strings.HasPrefix(text, "exec container process"):
	case has(text, "not found in $PATH", "No such file or directory"):
		return classed{text, execdriver.ErrNoProgram}
	case has(text, "Permission denied", "Operation not permitted", "Is a directory", "Not a directory"):
		return classed{text, execdriver.ErrNotExecutable}
	}
	return errors.New(text)
}

func has(text string, ends ...string) bool {
	for _, end := range ends {
		if strings.HasSuffix(text, end) {
			return true
		}
	}
	return false
}
