package streams

import (
	"os"

	"golang.org/x/sys/unix"
)

// SetWinsize sets the size of a terminal in characters.
func SetWinsize(tty *os.File, rows, cols uint16) error {
	raw, err := tty.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
	if err != nil {
		return err
	}
	return failed
}
