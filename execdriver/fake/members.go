package fake

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// members finds the processes that carry a container's mark. Zombies carry none.
func (d *Driver) members(id string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	want := []byte(mark + d.dir(id))
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			continue // ended, or somebody else's
		}
		for _, v := range bytes.Split(env, []byte{0}) {
			if bytes.Equal(v, want) {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids, nil
}

func (d *Driver) signalAll(id string, sig unix.Signal) error {
	if _, err := d.record(id); err != nil {
		return err
	}
	pids, err := d.members(id)
	for _, pid := range pids {
		_ = unix.Kill(pid, sig)
	}
	return err
}

// killAll repeats until nobody is left, as a process may fork meanwhile.
func (d *Driver) killAll(id string) error {
	for range 1000 {
		pids, err := d.members(id)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("processes of the container do not die")
}
