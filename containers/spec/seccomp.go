package spec

import (
	"math"
	"slices"

	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// DefaultSeccomp is the filter of a container that asks for none: moby's, with
// the families of socket as the kernel reads them. What it allows depends on the
// capabilities in s.
func DefaultSeccomp(s *specs.Spec) (*specs.LinuxSeccomp, error) {
	profile, err := seccomp.GetDefaultProfile(s)
	if err != nil {
		return nil, err
	}
	profile.Syscalls = slices.DeleteFunc(profile.Syscalls, func(c specs.LinuxSyscall) bool {
		return slices.Equal(c.Names, []string{"socket"})
	})
	profile.Syscalls = append(profile.Syscalls, socketRules()...)
	return profile, nil
}

// socketRules allow socket for the families below 64 but AF_ALG (38) and
// AF_VSOCK (40). The kernel takes the low 32 bits of the register only, whereas
// a filter compares all 64: with a plain "greater than 40" any bit above
// the 32nd would open the way to both. Families from 64 on do not exist.
func socketRules() []specs.LinuxSyscall {
	var rules []specs.LinuxSyscall
	for _, block := range []struct{ first, size uint64 }{
		{0, 32}, {32, 4}, {36, 2}, {unix.AF_ALG + 1, 1}, {unix.AF_VSOCK + 1, 1}, {42, 2}, {44, 4}, {48, 16},
	} {
		rules = append(rules, specs.LinuxSyscall{
			Names:  []string{"socket"},
			Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{{
				Index: 0, Op: specs.OpMaskedEqual, Value: math.MaxUint32 &^ (block.size - 1), ValueTwo: block.first,
			}},
		})
	}
	return rules
}
