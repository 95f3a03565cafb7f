package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jobengine/engine/internal/cgroupnames"
	"github.com/jobengine/engine/test/leak"
)

// Daemon is a private daemon: everything of it lies in one folder and in one
// cgroup parent, so that leaks can be told from the machine's own things.
type Daemon struct {
	Dir          string // holds all the rest
	Socket       string
	DataRoot     string
	ExecRoot     string
	PidFile      string
	LogFile      string
	TmpDir       string // its TMPDIR
	CgroupParent string
	Dockerd      bool   // the oracle, not ours
	TCP          string // host:port for Hijack and Follow; "" is the socket
	KeepPidFile  bool   // Start leaves the file of a daemon that was killed where it is

	flags   []string
	wrapped int // how many of flags are Wrap
	env     []string
	cmd     *exec.Cmd
	done    chan struct{}
}

// Options of a daemon. The zero value is right for most tests.
type Options struct {
	// Dir to live in; none: a new folder in os.TempDir. A new daemon in the
	// folder of an old one finds what that one left.
	Dir string
	// Flags are added to the command line.
	Flags []string
	// Env is added to its environment.
	Env []string
	// Wrap, when not empty, is a command line that runs the daemon's, which is
	// put behind it; it becomes that by exec, so that its process is the daemon.
	Wrap []string
	// ExecRoot, when not empty, lies outside Dir: on a tmpfs, as /run does.
	ExecRoot string
	// DefaultBridge leaves the engine the default network that a user's has, on a bridge that the
	// engine makes. It belongs into a network namespace of its own (Wrap); others have none.
	DefaultBridge bool
}

// StartEngine starts the engine under test and waits until it answers.
func StartEngine(o Options) (*Daemon, error) {
	bin, err := EngineBinary()
	if err != nil {
		return nil, err
	}
	d, err := newDaemon(o, "engine.sock", "/engine")
	if err != nil {
		return nil, err
	}
	flags := []string{bin, "-d", "-H", "unix://" + d.Socket, "--data-root", d.DataRoot, "--exec-root", d.ExecRoot,
		"-p", d.PidFile, "--cgroup-parent", d.CgroupParent}
	if cgroupnames.SystemdRuns() {
		// The parent is a folder, and where systemd makes the groups it would have to be a slice.
		flags = append(flags, "--exec-opt", "native.cgroupdriver=cgroupfs")
	}
	if !o.DefaultBridge {
		flags = append(flags, "--bridge", "none")
	}
	d.flags = append(flags, o.Flags...)
	d.flags, d.wrapped = append(append([]string{}, o.Wrap...), d.flags...), len(o.Wrap)
	return d, d.Start()
}

// StartDockerd starts Debian's dockerd as the oracle, with a containerd of its own: no bridge, no
// iptables, unless it is wrapped into a network of its own, where it may have both.
func StartDockerd(o Options) (*Daemon, error) {
	d, err := newDaemon(o, "docker.sock", "/oracle")
	if err != nil {
		return nil, err
	}
	d.Dockerd = true
	flags := []string{"/usr/sbin/dockerd", "-H", "unix://" + d.Socket, "--data-root", d.DataRoot, "--exec-root", d.ExecRoot,
		"--pidfile", d.PidFile, "--cgroup-parent", d.CgroupParent}
	if len(o.Wrap) == 0 {
		flags = append(flags, "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--userland-proxy=false")
	}
	d.flags, d.wrapped = append(append(append([]string{}, o.Wrap...), flags...), o.Flags...), len(o.Wrap)
	return d, d.Start()
}

func newDaemon(o Options, socket, cgroup string) (*Daemon, error) {
	dir := o.Dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "engine-test-"); err != nil {
			return nil, err
		}
	}
	d := &Daemon{
		Dir:          dir,
		Socket:       filepath.Join(dir, socket),
		DataRoot:     filepath.Join(dir, "data"),
		ExecRoot:     filepath.Join(dir, "exec"),
		PidFile:      filepath.Join(dir, "pid"),
		LogFile:      filepath.Join(dir, "log"),
		TmpDir:       filepath.Join(dir, "tmp"),
		CgroupParent: cgroup + "-" + strings.ReplaceAll(strings.Trim(dir, "/"), "/", "-"),
		env:          o.Env,
	}
	if o.ExecRoot != "" {
		d.ExecRoot = o.ExecRoot
	}
	return d, os.MkdirAll(d.TmpDir, 0o700)
}

// Start starts the daemon (again) and waits until it answers.
func (d *Daemon) Start() error {
	log, err := os.OpenFile(d.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// A daemon killed before left its pid file; dockerd refuses to start when
	// another process has that pid now.
	if !d.KeepPidFile {
		os.Remove(d.PidFile)
	}
	cmd := exec.Command(d.flags[0], d.flags[1:]...)
	cmd.Env = append(append(CleanEnv(), "TMPDIR="+d.TmpDir, leak.Mark(d.Dir)), d.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := d.isAlive(true); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	d.cmd, d.done = cmd, make(chan struct{})
	go func(done chan struct{}) {
		cmd.Wait()
		close(done)
	}(d.done)
	if err := d.await(30 * time.Second); err != nil {
		d.Kill()
		return fmt.Errorf("%s did not come up: %w\n%s", filepath.Base(d.flags[0]), err, d.Log())
	}
	return nil
}

func (d *Daemon) await(patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		res, err := d.HTTP().Get("http://d/_ping")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(res.Status)
		}
		select {
		case <-d.done:
			return fmt.Errorf("it ended: %s", d.cmd.ProcessState)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// Use makes the next Start run another build of the program.
func (d *Daemon) Use(binary string) { d.flags[0] = binary }

// Rewrap changes the command line that runs the daemon's, for the next Start.
func (d *Daemon) Rewrap(wrap ...string) {
	d.flags = append(append([]string{}, wrap...), d.flags[d.wrapped:]...)
	d.wrapped = len(wrap)
}

// Reflag adds flags to the command line, from the next start on; the last one of a name counts.
func (d *Daemon) Reflag(flags ...string) { d.flags = append(d.flags, flags...) }

// Pid of the daemon process.
func (d *Daemon) Pid() int { return d.cmd.Process.Pid }

// Done is closed when the daemon process has ended.
func (d *Daemon) Done() <-chan struct{} { return d.done }

// Log is all that the daemon has written to its stdout and stderr.
func (d *Daemon) Log() string {
	b, err := os.ReadFile(d.LogFile)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Host is the value for -H, ENGINE_HOST and DOCKER_HOST.
func (d *Daemon) Host() string { return "unix://" + d.Socket }

// Signal sends the daemon a signal.
func (d *Daemon) Signal(s syscall.Signal) error { return d.cmd.Process.Signal(s) }

// Kill ends the daemon process with SIGKILL; its containers and its supervisor
// live on.
func (d *Daemon) Kill() {
	d.cmd.Process.Kill()
	<-d.done
}

// Stop asks for a clean end and waits for it. The exit status must be 0.
func (d *Daemon) Stop() error {
	select {
	case <-d.done:
		return fmt.Errorf("the daemon had ended before: %s\n%s", d.cmd.ProcessState, tail(d.Log(), 30))
	default:
	}
	if err := d.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-d.done:
	case <-time.After(30 * time.Second):
		d.Kill()
		return fmt.Errorf("the daemon did not stop within 30 s of SIGTERM\n%s", tail(d.Log(), 30))
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the daemon stopped with status %d\n%s", code, tail(d.Log(), 30))
	}
	return nil
}

// Clear removes all containers and networks of users, by the API.
func (d *Daemon) Clear() error {
	var list []struct{ ID string }
	if err := d.JSON(http.MethodGet, "/containers/json?all=1", nil, &list); err != nil {
		return err
	}
	var errs []error
	for _, c := range list {
		errs = append(errs, d.JSON(http.MethodDelete, "/containers/"+c.ID+"?force=1&v=1", nil, nil))
	}
	return errors.Join(append(errs, d.JSON(http.MethodPost, "/networks/prune", nil, nil))...)
}

// Destroy removes the containers, stops the daemon and deletes its folder; what
// is still there of it afterwards is reported as a leak.
func (d *Daemon) Destroy() error {
	err := errors.Join(d.Clear(), d.Stop())
	return errors.Join(err, d.Sweep())
}

// Sweep deletes the folder and the empty cgroup parent of a daemon that has
// stopped, and reports what it left: processes, mounts, cgroups, files in its
// exec root and TMPDIR. It ends such processes and mounts itself, so that one
// leak does not make every later test fail.
func (d *Daemon) Sweep() error {
	d.isAlive(false)
	leak.RemoveCgroupParent(d.CgroupParent)
	if d.Dockerd {
		leak.Clean(d.Scope()) // what the oracle leaves is not our concern
		return os.RemoveAll(d.Dir)
	}
	scope := d.Scope()
	// dockerd's containerd and our supervisor may need a moment to follow.
	var found []string
	for i := 0; ; i++ {
		found = leak.Owned(scope)
		if len(found) == 0 || i == 100 {
			break
		}
		time.Sleep(20 * time.Millisecond)
		leak.RemoveCgroupParent(d.CgroupParent)
	}
	leak.Clean(d.Scope())
	if err := os.RemoveAll(d.Dir); err != nil {
		found = append(found, err.Error())
	}
	if len(found) > 0 {
		return fmt.Errorf("left behind by the daemon in %s:\n  %s", d.Dir, strings.Join(found, "\n  "))
	}
	return nil
}

// Scope tells the leak check what belongs to this daemon.
func (d *Daemon) Scope() leak.Scope {
	return leak.Scope{
		Root:         d.Dir,
		CgroupParent: d.CgroupParent,
		Dirs:         []string{d.ExecRoot, d.TmpDir},
		// A supervisor that failed is looked into by its log.
		Keep: []string{"supervisor.log", "supervisor.start", "supervisor.lock"},
	}
}

// Run runs a client against the daemon.
func (d *Daemon) Run(cli CLI, args ...string) (Result, error) {
	return d.Command(cli, args...).Run(context.Background())
}

// Command prepares a client against the daemon.
func (d *Daemon) Command(cli CLI, args ...string) Command {
	return Command{Path: cli.Path, Args: args, Env: []string{"DOCKER_HOST=" + d.Host(), "ENGINE_HOST=" + d.Host()}}
}

// HTTP is a client that reaches the daemon whatever the host in the URL.
func (d *Daemon) HTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", d.Socket)
		},
	}}
}

// PidInFile is the pid that the daemon wrote to its pid file.
func (d *Daemon) PidInFile() (int, error) {
	b, err := os.ReadFile(d.PidFile)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}

// SetEnv replaces what is added to the daemon's environment, from its next start on.
func (d *Daemon) SetEnv(env ...string) { d.env = env }
