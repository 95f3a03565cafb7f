package containers

import (
	"errors"
	"fmt"
)

// undos is what has to be taken back when a later step fails.
type undos []func() error

func (u *undos) add(f func() error) { *u = append(*u, f) }

// ifFailed runs them backwards if *err is set. What can't be undone is added to the error.
func (u *undos) ifFailed(err *error) {
	if *err == nil {
		return
	}
	for i := len(*u) - 1; i >= 0; i-- {
		if e := (*u)[i](); e != nil {
			*err = errors.Join(*err, fmt.Errorf("undo: %w", e))
		}
	}
}
