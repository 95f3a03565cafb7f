package protocol

import (
	"errors"

	"github.com/jobengine/engine/execdriver"
)

// Error is how an error travels: a code for programs and a sentence for people.
type Error struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

func (e *Error) Error() string { return e.Text }

// Is makes errors.Is find execdriver's errors on the daemon's side.
func (e *Error) Is(target error) bool {
	for _, c := range codes() {
		if c.code == e.Code {
			return c.class == target
		}
	}
	return false
}

// ErrInvalid is the class of requests that no supervisor could fulfil.
var ErrInvalid = errors.New("invalid request")

type code struct {
	code  string
	class error
}

func codes() []code {
	return []code{
		{"exists", execdriver.ErrExists},
		{"not_found", execdriver.ErrNotFound},
		{"not_running", execdriver.ErrNotRunning},
		{"no_program", execdriver.ErrNoProgram},
		{"not_executable", execdriver.ErrNotExecutable},
		{"unsupported", execdriver.ErrUnsupported},
		{"invalid", ErrInvalid},
	}
}

// AsError gives err in the form that travels; an unknown class has the code "internal".
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return &Error{e.Code, err.Error()}
	}
	for _, c := range codes() {
		if errors.Is(err, c.class) {
			return &Error{c.code, err.Error()}
		}
	}
	return &Error{"internal", err.Error()}
}
