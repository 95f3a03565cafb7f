//go:build seccomp && cgo

package native

import (
	"slices"

	"github.com/opencontainers/runc/libcontainer/configs"
	libseccomp "github.com/seccomp/libseccomp-golang"
)

// fewRules are not worth it.
const fewRules = 16

// packer is what our libseccomp's filters can do and the original's cannot.
type packer interface {
	PackRules(last map[libseccomp.ScmpArch]libseccomp.ScmpSyscall) string
}

// packRules gives an equal configuration with one rule. False: it must stay as it is.
func packRules(config *configs.Seccomp) (*configs.Seccomp, bool) {
	if len(config.Syscalls) < fewRules {
		return nil, false
	}
	actions := map[configs.Action]libseccomp.ScmpAction{
		configs.Kill: libseccomp.ActKillThread, configs.KillThread: libseccomp.ActKillThread,
		configs.KillProcess: libseccomp.ActKillProcess, configs.Errno: libseccomp.ActErrno,
		configs.Trap: libseccomp.ActTrap, configs.Allow: libseccomp.ActAllow,
		configs.Trace: libseccomp.ActTrace, configs.Log: libseccomp.ActLog,
	}
	action := func(a configs.Action, errno *uint) (libseccomp.ScmpAction, bool) {
		native, ok := actions[a]
		if a == configs.Errno || a == configs.Trace {
			code := int16(1) // EPERM
			if errno != nil {
				code = int16(*errno)
			}
			native = native.SetReturnCode(code)
		}
		return native, ok
	}
	fallback, ok := action(config.DefaultAction, config.DefaultErrnoRet)
	if !ok {
		return nil, false
	}
	filter, err := libseccomp.NewFilter(fallback)
	if err != nil {
		return nil, false
	}
	able, ok := any(filter).(packer)
	if !ok {
		return nil, false
	}
	if len(config.Syscalls) > 32 {
		_ = filter.SetOptimize(2) // as libcontainer does
	}
	for _, call := range config.Syscalls {
		what, ok := action(call.Action, call.ErrnoRet)
		if !ok {
			return nil, false
		}
		if what == fallback {
			continue
		}
		nr, err := libseccomp.GetSyscallFromName(call.Name)
		if err != nil {
			continue // this kernel does not have it
		}
		if err := addRule(filter, nr, what, call.Args); err != nil {
			return nil, false
		}
	}
	last, err := largest(config)
	if err != nil {
		return nil, false
	}
	small := *config
	// An action that is not the default one, which would say nothing.
	stand := configs.Allow
	if config.DefaultAction == configs.Allow {
		stand = configs.Kill
	}
	small.Syscalls = []*configs.Syscall{{Name: able.PackRules(last), Action: stand}}
	return &small, true
}

var operators = map[configs.Operator]libseccomp.ScmpCompareOp{
	configs.EqualTo: libseccomp.CompareEqual, configs.NotEqualTo: libseccomp.CompareNotEqual,
	configs.GreaterThan: libseccomp.CompareGreater, configs.GreaterThanOrEqualTo: libseccomp.CompareGreaterEqual,
	configs.LessThan: libseccomp.CompareLess, configs.LessThanOrEqualTo: libseccomp.CompareLessOrEqual,
	configs.MaskEqualTo: libseccomp.CompareMaskedEqual,
}

// addRule adds a call's rule; conditions of which two are on one argument are alternatives, each a rule.
func addRule(filter *libseccomp.ScmpFilter, nr libseccomp.ScmpSyscall, action libseccomp.ScmpAction, args []*configs.Arg) error {
	if len(args) == 0 {
		return filter.AddRule(nr, action)
	}
	var conditions []libseccomp.ScmpCondition
	seen := map[uint]bool{}
	alternatives := false
	for _, a := range args {
		c, err := libseccomp.MakeCondition(a.Index, operators[a.Op], a.Value, a.ValueTwo)
		if err != nil {
			return err
		}
		alternatives = alternatives || seen[a.Index]
		seen[a.Index] = true
		conditions = append(conditions, c)
	}
	if !alternatives {
		return filter.AddRuleConditional(nr, action, conditions)
	}
	for _, c := range conditions {
		if err := filter.AddRuleConditional(nr, action, []libseccomp.ScmpCondition{c}); err != nil {
			return err
		}
	}
	return nil
}

// largest finds the largest call that the profile names, for each of its architectures: what
// is beyond gets ENOSYS.
func largest(config *configs.Seccomp) (map[libseccomp.ScmpArch]libseccomp.ScmpSyscall, error) {
	native, err := libseccomp.GetNativeArch()
	if err != nil {
		return nil, err
	}
	archs := []libseccomp.ScmpArch{native}
	for _, name := range config.Architectures {
		arch, err := libseccomp.GetArchFromString(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(archs, arch) {
			archs = append(archs, arch)
		}
	}
	last := map[libseccomp.ScmpArch]libseccomp.ScmpSyscall{}
	for _, arch := range archs {
		for _, call := range config.Syscalls {
			if nr, err := libseccomp.GetSyscallFromNameByArch(call.Name, arch); err == nil && nr > last[arch] {
				last[arch] = nr
			}
		}
	}
	return last, nil
}
