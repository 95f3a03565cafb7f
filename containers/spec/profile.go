package spec

import (
	"encoding/json"
	"slices"

	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/internal/errs"
)

// CheckProfile tells whether a seccomp profile can be used, so that one that
// cannot is refused when the container is created and not when it starts.
// Errors are of the class invalid. Names of system calls are not looked at: a
// profile may know calls that this libseccomp does not, and those are passed over.
func CheckProfile(profile string) error {
	switch profile {
	case "", builtin, unconfined:
		return nil
	}
	var p seccomp.Seccomp
	if err := json.Unmarshal([]byte(profile), &p); err != nil {
		return errs.Invalid("Decoding seccomp profile failed: %v", err)
	}
	if slices.Contains(p.Syscalls, nil) { // which would be followed
		return errs.Invalid("invalid seccomp profile: a rule is null")
	}
	if _, err := seccomp.LoadProfile(profile, &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}}); err != nil {
		return errs.Invalid("%v", err)
	}
	if p.DefaultAction == "" && len(p.Syscalls) == 0 {
		return nil // docker takes it for none
	}
	if err := checkAction(p.DefaultAction, &p); err != nil {
		return err
	}
	for _, arch := range p.Architectures {
		if !slices.Contains(arches, arch) {
			return errs.Invalid("invalid seccomp profile: string %s is not a valid arch for seccomp", arch)
		}
	}
	for _, flag := range p.Flags {
		if !slices.Contains(filterFlags, flag) {
			return errs.Invalid("invalid seccomp profile: seccomp flag %q is not known", flag)
		}
	}
	for _, call := range p.Syscalls {
		if err := checkRule(call, &p); err != nil {
			return err
		}
	}
	return nil
}

func checkRule(call *seccomp.Syscall, p *seccomp.Seccomp) error {
	if call.Name != "" && len(call.Names) > 0 {
		return errs.Invalid("both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'")
	}
	if err := checkAction(call.Action, p); err != nil {
		return err
	}
	for _, arg := range call.Args {
		if !slices.Contains(operators, arg.Op) {
			return errs.Invalid("invalid seccomp profile: string %s is not a valid operator for seccomp", arg.Op)
		}
		if arg.Index > 5 {
			return errs.Invalid("invalid seccomp profile: a system call has no argument %d: they are counted from 0 to 5", arg.Index)
		}
	}
	return nil
}

func checkAction(action specs.LinuxSeccompAction, p *seccomp.Seccomp) error {
	switch {
	case !slices.Contains(actions, action):
		return errs.Invalid("invalid seccomp profile: string %s is not a valid action for seccomp", action)
	case action == specs.ActNotify && p.ListenerPath == "":
		return errs.Invalid("invalid seccomp profile: %s needs a listenerPath", action)
	}
	return nil
}

// What the runtime specification knows.
var (
	actions = []specs.LinuxSeccompAction{
		specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActTrap, specs.ActErrno, specs.ActTrace, specs.ActAllow, specs.ActLog, specs.ActNotify,
	}
	operators = []specs.LinuxSeccompOperator{
		specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual,
	}
	arches = []specs.Arch{
		specs.ArchX86, specs.ArchX86_64, specs.ArchX32, specs.ArchARM, specs.ArchAARCH64, specs.ArchMIPS, specs.ArchMIPS64, specs.ArchMIPS64N32,
		specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32, specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchS390, specs.ArchS390X,
		specs.ArchRISCV64, specs.ArchLOONGARCH64,
	}
	filterFlags = []specs.LinuxSeccompFlag{
		"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagWaitKillableRecv,
	}
)
