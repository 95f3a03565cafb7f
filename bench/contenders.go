package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jobengine/engine/test/harness"
)

// A contender is a way to run containers: a client in front of a daemon, or
// runc alone.
type contender struct {
	name   string
	daemon *harness.Daemon // nil: runc
	cli    harness.CLI
	bundle string // runc's
	root   string // runc's state
	serial int
	env    []string
}

// longLines prints 100 MB, 100 characters and a newline at a time.
const longLines = `yes "$(printf %0100d 7)" | head -n 1000000`

// command is what the contender says for one verb: run, exec, ps, logs.
func (c *contender) command(verb string) []string {
	if c.daemon != nil {
		switch verb {
		case "run":
			return []string{c.cli.Path, "run", "--rm", "--network", "none", "busybox", "true"}
		case "run-bridge":
			return []string{c.cli.Path, "run", "--rm", "busybox", "true"}
		case "run-port":
			return []string{c.cli.Path, "run", "--rm", "-p", "8080:80", "busybox", "true"}
		case "exec":
			return []string{c.cli.Path, "exec", "bench-alive", "true"}
		case "ps":
			return []string{c.cli.Path, "ps", "-a"}
		case "logs":
			return []string{c.cli.Path, "logs", "bench-lines"}
		case "inspect":
			return []string{c.cli.Path, "inspect", "bench-007"}
		case "dump":
			return []string{c.cli.Path, "logs", "bench-long"}
		case "print":
			return []string{c.cli.Path, "run", "--rm", "--network", "none", "busybox", "sh", "-c", longLines}
		}
		return nil
	}
	switch verb {
	case "run":
		c.serial++
		return []string{"runc", "--root", c.root, "run", "--bundle", c.bundle, fmt.Sprintf("bench-%d", c.serial)}
	case "exec":
		return []string{"runc", "--root", c.root, "exec", "bench-alive", "true"}
	}
	return nil
}

func (c *contender) run(argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(harness.CleanEnv(), c.env...)
	if c.daemon != nil {
		cmd.Env = append(cmd.Env, "DOCKER_HOST="+c.daemon.Host(), "ENGINE_HOST="+c.daemon.Host())
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %s: %w: %s", c.name, strings.Join(argv, " "), err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

// newRunc unpacks the root filesystem and writes a bundle whose process is
// true; and starts a second container to exec into.
func (b *bench) newRunc() (*contender, error) {
	dir := filepath.Join(b.dir, "runc")
	c := &contender{name: "runc", bundle: filepath.Join(dir, "bundle"), root: filepath.Join(b.runDir, "runc")}
	alive := filepath.Join(dir, "alive")
	for bundle, args := range map[string][]string{c.bundle: {"true"}, alive: {"sleep", "100000"}} {
		files := filepath.Join(bundle, "rootfs")
		if err := os.MkdirAll(files, 0o755); err != nil {
			return nil, err
		}
		if out, err := exec.Command("tar", "-xf", b.rootfs, "-C", files).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("unpack the root filesystem: %w: %s", err, out)
		}
		spec := exec.Command("runc", "spec")
		spec.Dir = bundle
		if out, err := spec.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("runc spec: %w: %s", err, out)
		}
		if err := editSpec(filepath.Join(bundle, "config.json"), args); err != nil {
			return nil, err
		}
	}
	start := exec.Command("runc", "--root", c.root, "run", "--detach", "--bundle", alive, "bench-alive")
	if err := start.Run(); err != nil {
		return nil, fmt.Errorf("runc run --detach: %w", err)
	}
	b.undo = append(b.undo, c.stopRunc)
	return c, nil
}

func editSpec(file string, args []string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var spec map[string]any
	if err := json.Unmarshal(b, &spec); err != nil {
		return err
	}
	process := spec["process"].(map[string]any)
	process["terminal"], process["args"] = false, args
	if b, err = json.Marshal(spec); err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
}

func (c *contender) stopRunc() error {
	return exec.Command("runc", "--root", c.root, "delete", "--force", "bench-alive").Run()
}

// prepare gives a daemon the image, a container to exec into, and one with
// 10,000 lines of log.
func (b *bench) prepare(d *harness.Daemon) error {
	if err := b.load(d); err != nil {
		return err
	}
	for name, cmd := range map[string][]string{"bench-alive": {"sleep", "100000"}, "bench-lines": {"seq", "10000"}} {
		if err := create(d, name, cmd); err != nil {
			return err
		}
		if err := d.JSON(http.MethodPost, "/containers/"+name+"/start", nil, nil); err != nil {
			return err
		}
	}
	return d.JSON(http.MethodPost, "/containers/bench-lines/wait", nil, nil)
}

// fill adds n containers that have ended.
func fill(d *harness.Daemon, n int) error {
	_, err := atOnce(n, 8, func(i int) error {
		name := fmt.Sprintf("bench-%03d", i)
		return errors.Join(create(d, name, []string{"true"}), start(d, name))
	})
	return err
}

func create(d *harness.Daemon, name string, cmd []string) error {
	return d.JSON(http.MethodPost, "/containers/create?name="+name, map[string]any{
		"Image": "busybox", "Cmd": cmd, "HostConfig": map[string]any{"NetworkMode": "none"},
	}, nil)
}
