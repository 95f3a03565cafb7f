package fake

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
)

// mark is the environment variable that all processes of a container have.
const mark = "ENGINE_FAKE_CONTAINER="

// run starts a process with a session of its own.
func (d *Driver) run(id, program string, argv []string, p *specs.Process, stdio execdriver.Stdio) (execdriver.Process, error) {
	var none execdriver.Process
	files := []*os.File{stdio.Stdin, stdio.Stdout, stdio.Stderr}
	var master *os.File
	if p.Terminal {
		var slave *os.File
		var err error
		if master, slave, err = openTerminal(p.ConsoleSize); err != nil {
			return none, err
		}
		defer master.Close()
		defer slave.Close()
		files = []*os.File{slave, slave, slave}
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return none, err
	}
	defer null.Close()
	for i := range files {
		if files[i] == nil {
			files[i] = null
		}
	}
	pidfd := -1
	proc, err := os.StartProcess(program, argv, &os.ProcAttr{
		Dir:   p.Cwd,
		Env:   append(append([]string{}, p.Env...), mark+d.dir(id)),
		Files: files,
		Sys:   &unix.SysProcAttr{Setsid: true, Setctty: p.Terminal, PidFD: &pidfd},
	})
	if err != nil {
		return none, classify(program, err)
	}
	defer proc.Release()
	if pidfd < 0 {
		_ = proc.Kill()
		return none, errors.New("the kernel has no pidfd")
	}
	started := execdriver.Process{Pid: proc.Pid}
	if err := unix.SetNonblock(pidfd, true); err != nil {
		return none, err
	}
	started.PidFD = os.NewFile(uintptr(pidfd), "pidfd")
	if p.Terminal {
		if err := sendMaster(stdio.ConsoleSocket, master); err != nil {
			discard(started)
			return none, err
		}
	}
	return started, nil
}

// discard ends a process that nobody was told about.
func discard(p execdriver.Process) {
	_ = unix.Kill(p.Pid, unix.SIGKILL)
	_, _ = unix.Wait4(p.Pid, nil, 0, nil)
	p.PidFD.Close()
}

// find looks for the program as a container's init would: by the PATH of its own environment.
func find(p *specs.Process) (string, error) {
	if len(p.Args) == 0 {
		return "", errors.New("no program to run")
	}
	name := p.Args[0]
	if strings.Contains(name, "/") {
		return name, classify(name, executable(name))
	}
	for _, e := range p.Env {
		path, isPath := strings.CutPrefix(e, "PATH=")
		for _, dir := range filepath.SplitList(path) {
			if full := filepath.Join(dir, name); isPath && executable(full) == nil {
				return full, nil
			}
		}
	}
	return "", classed{fmt.Sprintf("unable to start container process: exec: %q: executable file not found in $PATH", name), execdriver.ErrNoProgram}
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return unix.EISDIR
	}
	return unix.Access(path, unix.X_OK)
}

type classed struct {
	text  string
	class error
}

func (e classed) Error() string { return e.text }
func (e classed) Unwrap() error { return e.class }

func classify(program string, err error) error {
	var class error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		class = execdriver.ErrNoProgram
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOEXEC):
		class = execdriver.ErrNotExecutable
	default:
		return err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return classed{fmt.Sprintf("unable to start container process: exec: %q: %v", program, err), class}
}
