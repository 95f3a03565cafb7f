package builtins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/protocol"
	"github.com/jobengine/engine/system"
)

// openSupervisor finds the supervisor that a former daemon left, or starts
// one: the small program that is embedded in this one, or this one itself when
// there is none, or when it lacks an exec driver of the set.
func (set *Set) openSupervisor(ctx context.Context, cfg Config, drivers []protocol.Driver) (*client.Client, error) {
	options := client.Options{ExecRoot: cfg.ExecRoot, Log: cfg.Log.Warnf, Drivers: drivers, Build: ownBuild()}
	if len(sealedSupervisor) > 0 && slices.Equal(set.Exec.Names(), set.sealed) {
		program, err := unpackSupervisor(cfg.ExecRoot)
		if err != nil {
			return nil, err
		}
		options.Command, options.Build = program.command, program.build
	}
	sup, err := client.Open(ctx, options)
	if err != nil {
		return nil, err
	}
	for _, name := range cfg.runtimes(set) {
		if have := sup.Hello().Drivers; !slices.Contains(have, name) {
			_ = sup.Shutdown(ctx) // one without containers ends
			sup.Close()
			return nil, fmt.Errorf("the running supervisor does not know the exec driver %q, only %q: stop its containers first", name, have)
		}
	}
	return sup, nil
}

// supervisorProgram is the embedded supervisor in a form that can be executed.
type supervisorProgram struct {
	path   string
	memory *os.File // what the path leads to; nil if that is a file
	build  string   // its name: a supervisor of another one is upgraded
}

// ownBuild names this very program by its file: reading all of it would take too long.
func ownBuild() string {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/exe", &st); err != nil {
		return ""
	}
	return fmt.Sprintf("file-%x-%x-%x-%x", st.Dev, st.Ino, st.Size, st.Mtim.Nano())
}

// unpackSupervisor puts the embedded supervisor into sealed memory. Where the
// kernel forbids to execute memory (vm.memfd_noexec=2) it becomes a file.
func unpackSupervisor(execRoot string) (*supervisorProgram, error) {
	path, memory, err := client.SealedCommand(sealedSupervisor)
	if err != nil {
		path, memory = filepath.Join(execRoot, protocol.Name), nil
		err = durable.WriteFileUnsynced(durable.OS, path, sealedSupervisor, 0o500)
	}
	sum := sha256.Sum256(sealedSupervisor)
	forget(sealedSupervisor)
	return &supervisorProgram{path, memory, hex.EncodeToString(sum[:8])}, err
}

// command is called again when the supervisor has died, so the memory stays open.
func (p *supervisorProgram) command() (*exec.Cmd, error) { return exec.Command(p.path), nil }

// forget takes the pages of embedded bytes out of this process's memory: they
// were read once, and come back from the program's file if they are read again.
func forget(embedded []byte) {
	page := uintptr(os.Getpagesize())
	start := (uintptr(unsafe.Pointer(unsafe.SliceData(embedded))) + page - 1) &^ (page - 1)
	skip := start - uintptr(unsafe.Pointer(unsafe.SliceData(embedded)))
	if uintptr(len(embedded)) < skip+page {
		return
	}
	whole := embedded[skip:]
	_ = unix.Madvise(whole[:uintptr(len(whole))&^(page-1)], unix.MADV_DONTNEED)
}

// upgradeSupervisor is the handler of the job of that name.
func upgradeSupervisor(sup *client.Client) func(context.Context, *engine.Job, jobs.SupervisorUpgradeIn) (jobs.SupervisorUpgradeOut, error) {
	return func(ctx context.Context, _ *engine.Job, _ jobs.SupervisorUpgradeIn) (jobs.SupervisorUpgradeOut, error) {
		if err := sup.Upgrade(ctx); errors.Is(err, client.ErrTooOld) {
			return jobs.SupervisorUpgradeOut{}, errs.Conflict("upgrade the supervisor: %w", err)
		} else if err != nil {
			return jobs.SupervisorUpgradeOut{}, fmt.Errorf("upgrade the supervisor: %w", err)
		}
		hello := sup.Hello()
		return jobs.SupervisorUpgradeOut{Pid: hello.Pid, Build: hello.Build}, nil
	}
}

// execDrivers tells the noun system what containers can be run with.
type execDrivers struct {
	set *Set
	cfg Config
}

func (d execDrivers) Runtimes() map[string]system.Runtime {
	all := map[string]system.Runtime{}
	for _, name := range d.set.Exec.Names() {
		all[name] = system.Runtime{Path: name}
	}
	for name, r := range d.cfg.Runtimes {
		all[name] = system.Runtime(r)
	}
	return all
}
