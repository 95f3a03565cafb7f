// Package phase writes down when each step of a container's start and end is
// over, in client, daemon and supervisor alike, for whoever wants to know where
// the time goes (`bench phases`). It is off, and costs a comparison with nil,
// unless ENGINE_TRACE names a file.
package phase

import (
	"os"
	"strconv"
	"time"
)

// Variable is the environment variable that names the file. The daemon's is the
// supervisor's too.
const Variable = "ENGINE_TRACE"

var file = open()

func open() *os.File {
	path := os.Getenv(Variable)
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil
	}
	return f
}

// On tells whether marks are written.
func On() bool { return file != nil }

// Mark says that a step of who ("client", "daemon", "supervisor", "init") is over
// now. One write is one line: those of several processes do not mix.
func Mark(who, step string) {
	if file == nil {
		return
	}
	line := strconv.AppendInt(nil, time.Now().UnixNano(), 10)
	line = append(line, ' ')
	line = append(line, who...)
	line = append(line, ' ')
	line = append(line, step...)
	_, _ = file.Write(append(line, '\n'))
}
