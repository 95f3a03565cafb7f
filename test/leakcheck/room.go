package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// insideName is what the program is called when it is the first process of the room.
const insideName = "leakcheck-inside"

// private are the folders of which the room has its own.
// The one that holds the room itself comes last.
var private = []string{"/tmp", "/dev/shm", "/var/tmp"}

// room runs this program as pid 1 of new namespaces.
func room(args []string) (err error) {
	// On a disk: a data root on a tmpfs would hide what the disk does.
	dir, err := os.MkdirTemp("/var/tmp", "engine-check-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{insideName, dir}, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	forward := make(chan os.Signal, 8)
	signal.Notify(forward, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(forward)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("a room for the run: %w", err)
	}
	go func() {
		for range forward {
			cmd.Process.Kill() // and with it all that is in the room
		}
	}()
	return cmd.Wait()
}

// inside is what pid 1 of the room does: furnish it, run the command, look around.
func inside(dir string, args []string) error {
	// Shared, as on a host with systemd, but with nobody outside.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of the room: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("mounts of the room: %w", err)
	}
	kept, err := keep()
	if err != nil {
		return err
	}
	for _, target := range private {
		source := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(target, "/"), "/", "-"))
		if err := os.Mkdir(source, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(source, 0o1777); err != nil {
			return err
		}
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s of the room: %w", target, err)
		}
	}
	if err := restore(kept); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("/proc of the room: %w", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("network of the room: %w: %s", err, out)
	}
	return check(args, reapUntil)
}

// keep opens the folders that the run needs though they lie in one that will be hidden: where it
// works, and what is Go's.
func keep() (map[string]*os.File, error) {
	work, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	kept := map[string]*os.File{}
	for _, dir := range []string{work, os.Getenv("HOME"), os.Getenv("GOPATH"), os.Getenv("GOCACHE"), os.Getenv("GOMODCACHE"), os.Getenv("GOROOT")} {
		for _, hidden := range private {
			if !strings.HasPrefix(dir, hidden+"/") {
				continue
			}
			if f, err := os.Open(dir); err == nil {
				kept[dir] = f
			}
		}
	}
	return kept, nil
}

// restore puts them where they were. It comes before the new /proc, which knows our descriptors
// under another number of the process.
func restore(kept map[string]*os.File) error {
	work, _ := os.Getwd()
	for dir, f := range kept {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("%s in the room: %w", dir, err)
		}
		f.Close()
	}
	if _, ok := kept[work]; ok {
		return os.Chdir(work)
	}
	return nil
}

// reapUntil runs a command as pid 1 has to: whoever loses its parent is waited for too.
func reapUntil(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return fmt.Errorf("wait for %s: %w", cmd.Path, err)
		case pid != cmd.Process.Pid:
		case status.Signaled():
			return fmt.Errorf("%s was ended by %v", cmd.Path, status.Signal())
		case status.ExitStatus() != 0:
			return fmt.Errorf("%s failed with code %d", cmd.Path, status.ExitStatus())
		default:
			return nil
		}
	}
}

// reap waits for those orphans that have ended. Not while a command runs that
// somebody else waits for.
func reap() {
	for os.Getpid() == 1 {
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 && err != unix.EINTR {
			return
		}
	}
}
