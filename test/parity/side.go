package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jobengine/engine/test/harness"
)

// A side is one daemon with one client; it works through the cases one by one.
type side struct {
	Name   string // oracle/docker20, engine/engine …
	Client harness.CLI
	Oracle bool

	bridged bool  // the daemon is on a host of its own, with the default bridge
	other   *side // the same with a bridge, of one without; made when it is needed

	fixtures *fixtures
	daemon   *harness.Daemon
	cache    string // folder; empty: none
	n        int
	cleaning error // what the last cleaning could not do
}

// fixtures are made once and shared by all sides.
type fixtures struct {
	dir     string
	self    string // this program, for the roles
	archive string
	image   string // id of the busybox image
}

const patience = 40 * time.Second

func newFixtures() (*fixtures, error) {
	dir, err := os.MkdirTemp("", "engine-parity-")
	if err != nil {
		return nil, err
	}
	f := &fixtures{dir: dir, archive: filepath.Join(dir, "busybox.tar")}
	if f.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if err := harness.BusyboxArchive(f.archive, "busybox:latest"); err != nil {
		return nil, err
	}
	if err := harness.BusyboxRootfs(filepath.Join(dir, "rootfs.tar")); err != nil {
		return nil, err
	}
	f.image, err = harness.ArchiveImageID(f.archive)
	return f, err
}

// forCase is the side that the case wants: with a bridge or without.
func (s *side) forCase(c *testCase) *side {
	if !c.File.Bridge || s.bridged {
		return s
	}
	if s.other == nil {
		s.other = &side{Name: s.Name, Client: s.Client, Oracle: s.Oracle, bridged: true, fixtures: s.fixtures, cache: s.cache}
	}
	return s.other
}

// options of the daemon.
func (s *side) options(dir string) harness.Options {
	if !s.bridged {
		return harness.Options{Dir: dir}
	}
	return harness.Options{
		Dir: dir, Flags: []string{"--bip", bridgeAddress}, Wrap: []string{"unshare", "-n", "sh", "-c", ownHost}, DefaultBridge: true,
	}
}

// A host with one address besides loopback, and a default route that leads nowhere.
const (
	bridgeAddress = "172.17.0.1/16"
	ownHost       = `ip link set lo up && ip link add lan0 type veth peer name lan1 && ip addr add 10.213.0.1/24 dev lan0 && ip link set lan0 up &&
		ip link set lan1 up && ip route add default via 10.213.0.2 && exec "$0" "$@"`
)

// run answers the case, from the cache where that is allowed.
func (s *side) run(c *testCase) ([]raw, surroundings, error) {
	path := ""
	if s.Oracle && s.cache != "" {
		path = filepath.Join(s.cache, s.key(c)+".json")
		var kept struct {
			Answers []raw
			Around  surroundings
		}
		if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, &kept) == nil && len(kept.Answers) == len(c.Steps) {
			return kept.Answers, kept.Around, nil
		}
	}
	answers, around, err := s.perform(c)
	if err == nil && path != "" {
		b, _ := json.Marshal(map[string]any{"Answers": answers, "Around": around})
		os.MkdirAll(s.cache, 0o755)
		os.WriteFile(path, b, 0o644)
	}
	return answers, around, err
}

// key changes with everything that the oracle's answer depends on.
func (s *side) key(c *testCase) string {
	h := sha256.New()
	fmt.Fprintln(h, prelude, s.fixtures.image, s.Client.Name)
	if s.bridged {
		fmt.Fprintln(h, bridgeAddress, ownHost)
	}
	for _, bin := range []string{s.Client.Path, "/usr/sbin/dockerd", "/usr/sbin/runc", "/bin/bash"} {
		if st, err := os.Stat(bin); err == nil {
			fmt.Fprintln(h, bin, st.Size(), st.ModTime())
		}
	}
	for _, step := range c.Steps {
		fmt.Fprintln(h, step.Command)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// perform runs the case's steps in one shell against the side's daemon.
func (s *side) perform(c *testCase) ([]raw, surroundings, error) {
	if err := s.ready(); err != nil {
		return nil, surroundings{}, err
	}
	s.n++
	work := filepath.Join(s.daemon.Dir, "work", strconv.Itoa(s.n))
	io := filepath.Join(s.daemon.Dir, "io", strconv.Itoa(s.n))
	for _, dir := range []string{work, io} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, surroundings{}, err
		}
	}
	defer os.RemoveAll(work)
	defer os.RemoveAll(io)
	var script strings.Builder
	script.WriteString(prelude)
	for i, step := range c.Steps {
		name := filepath.Join(io, strconv.Itoa(i))
		if err := os.WriteFile(name+".sh", []byte(step.Command+"\n"), 0o644); err != nil {
			return nil, surroundings{}, err
		}
		fmt.Fprintf(&script, ". %[1]s.sh >%[1]s.out 2>%[1]s.err </dev/null; echo $? >%[1]s.exit\n", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	shell := []string{"/bin/bash", "-c", script.String()}
	if s.bridged {
		shell = append([]string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", s.daemon.Pid())}, shell...)
	}
	cmd := exec.CommandContext(ctx, shell[0], shell[1:]...)
	cmd.Dir = work
	cmd.Env = append(harness.CleanEnv(),
		"PATH="+s.daemon.Dir+"/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME="+work, "DOCKER_CONFIG="+work+"/.docker",
		"DOCKER_HOST="+s.daemon.Host(), "SOCKET="+s.daemon.Socket, "DAEMON_PID="+strconv.Itoa(s.daemon.Pid()),
		"FIXTURES="+s.fixtures.dir, "CLIENT="+s.Client.Name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	cmd.Run()
	// Whatever a step left in the background ends with its case.
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)

	answers := make([]raw, len(c.Steps))
	for i := range c.Steps {
		name := filepath.Join(io, strconv.Itoa(i))
		read := func(what string) string {
			b, _ := os.ReadFile(name + what)
			return string(b)
		}
		answers[i] = raw{Stdout: read(".out"), Stderr: read(".err"), Exit: strings.TrimSpace(read(".exit"))}
		if answers[i].Exit == "" {
			answers[i].Exit = "none, it hung or was not reached"
		}
	}
	around := surroundings{Work: work, Dir: s.daemon.Dir, Socket: s.daemon.Socket, Keep: []string{s.fixtures.image}}
	s.cleaning = s.clean()
	if ctx.Err() != nil && s.cleaning == nil {
		// A stuck daemon would answer every later case wrongly.
		s.cleaning = errors.New("the case hung")
	}
	return answers, around, nil
}

// ready starts the daemon at the first case that needs it, and a new one when
// the last could not be cleaned.
func (s *side) ready() error {
	if s.daemon != nil && s.cleaning == nil {
		return nil
	}
	if s.daemon != nil {
		s.daemon.Destroy()
		s.daemon = nil
	}
	dir, err := os.MkdirTemp(s.fixtures.dir, strings.ReplaceAll(s.Name, "/", "-")+"-")
	if err != nil {
		return err
	}
	start := harness.StartEngine
	if s.Oracle {
		start = harness.StartDockerd
	}
	if s.daemon, err = start(s.options(dir)); err != nil {
		s.daemon = nil
		os.RemoveAll(dir)
		return err
	}
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	for name, command := range map[string]string{
		"docker": s.Client.Path, "pty": s.fixtures.self + " pty", "api": s.fixtures.self + " api",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\nexec "+command+" \"$@\"\n"), 0o755); err != nil {
			return err
		}
	}
	s.cleaning = nil
	return s.load()
}

func (s *side) load() error {
	fd, err := os.Open(s.fixtures.archive)
	if err != nil {
		return err
	}
	defer fd.Close()
	code, text, _, err := s.daemon.Do(http.MethodPost, "/images/load?quiet=1", fd)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("load busybox: %d %s", code, text)
	}
	return err
}

// clean brings the daemon back to where each case starts: no containers, one
// image with one name.
func (s *side) clean() error {
	if err := s.daemon.Clear(); err != nil {
		return err
	}
	var images []struct {
		ID       string `json:"Id"`
		RepoTags []string
	}
	for range 2 { // children first, then what they kept
		if err := s.daemon.JSON(http.MethodGet, "/images/json", nil, &images); err != nil {
			return err
		}
		for _, i := range images {
			if i.ID == "sha256:"+s.fixtures.image && len(i.RepoTags) == 1 && i.RepoTags[0] == "busybox:latest" {
				continue
			}
			if _, _, _, err := s.daemon.Do(http.MethodDelete, "/images/"+i.ID+"?force=1", nil); err != nil {
				return err
			}
		}
	}
	if err := s.daemon.JSON(http.MethodGet, "/images/json", nil, &images); err != nil {
		return err
	}
	switch {
	case len(images) == 1 && images[0].ID == "sha256:"+s.fixtures.image && len(images[0].RepoTags) == 1:
		return nil
	case len(images) == 0:
		return s.load()
	}
	return fmt.Errorf("images left after cleaning: %v", images)
}

func (s *side) stop() error {
	var errs []error
	if s.other != nil {
		errs = append(errs, s.other.stop())
	}
	if s.daemon != nil {
		errs = append(errs, s.daemon.Destroy())
	}
	return errors.Join(errs...)
}

// prelude is what every case's shell knows.
const prelude = `
umask 022
# await CONDITION: until it holds, at most 15 s.
await() { local i; for i in $(seq 300); do eval "$1" >/dev/null 2>&1 && return 0; sleep 0.05; done; echo "await: gave up: $1" >&2; return 1; }
# running NAME, stopped NAME: until it is so.
running() { await "docker inspect -f '{{.State.Running}}' $1 | grep -q true"; }
stopped() { await "docker inspect -f '{{.State.Running}}' $1 | grep -q false"; }
# says NAME TEXT: until the container has written it.
says() { await "docker logs $1 2>&1 | grep -q -e '$2'"; }
`
