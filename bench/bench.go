package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/test/harness"
)

// bench is one run: where its daemons live.
type bench struct {
	dir string
	// runDir is a tmpfs, as /run is wherever systemd boots: the place of what
	// need not outlive a reboot, for all contenders.
	runDir  string
	archive string // busybox as an image
	rootfs  string // and as a tar of its files
	undo    []func() error
}

func newBench() (*bench, error) {
	dir, err := os.MkdirTemp("", "engine-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir, runDir: filepath.Join(dir, "run"), archive: filepath.Join(dir, "busybox.tar"), rootfs: filepath.Join(dir, "rootfs.tar")}
	b.undo = append(b.undo, func() error { return os.RemoveAll(dir) })
	if err := os.Mkdir(b.runDir, 0o711); err != nil {
		return nil, errors.Join(err, b.clean())
	}
	if err := unix.Mount("tmpfs", b.runDir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return nil, errors.Join(fmt.Errorf("mount a tmpfs: %w", err), b.clean())
	}
	b.undo = append(b.undo, func() error { return unix.Unmount(b.runDir, unix.MNT_DETACH) })
	harness.DestroyOnInterrupt(func() { _ = b.clean() })
	if err := errors.Join(harness.BusyboxArchive(b.archive, "busybox:latest"), harness.BusyboxRootfs(b.rootfs)); err != nil {
		return nil, errors.Join(err, b.clean())
	}
	return b, nil
}

// clean undoes everything, the last thing first.
func (b *bench) clean() error {
	var err error
	for i := len(b.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, b.undo[i]())
	}
	b.undo = nil
	return err
}

func (b *bench) close(err *error) { *err = errors.Join(*err, b.clean()) }

func (b *bench) startEngine(env ...string) (*harness.Daemon, error) {
	d, err := harness.StartEngine(harness.Options{ExecRoot: filepath.Join(b.runDir, "engine"), Env: env})
	if err != nil {
		return nil, err
	}
	b.undo = append(b.undo, d.Destroy)
	return d, nil
}

func (b *bench) startDockerd() (*harness.Daemon, error) {
	d, err := harness.StartDockerd(harness.Options{ExecRoot: filepath.Join(b.runDir, "docker")})
	if err != nil {
		return nil, err
	}
	b.undo = append(b.undo, d.Destroy)
	return d, nil
}

// load gives a daemon the image busybox.
func (b *bench) load(d *harness.Daemon) error {
	fd, err := os.Open(b.archive)
	if err != nil {
		return err
	}
	defer fd.Close()
	if code, text, _, err := d.Do(http.MethodPost, "/images/load?quiet=1", fd); err != nil || code != http.StatusOK {
		return fmt.Errorf("load busybox: %d %s %v", code, text, err)
	}
	return nil
}
