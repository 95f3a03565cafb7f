package spec_test

import (
	"testing"

	"github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/internal/caps"
)

// allows tells whether a rule of the profile lets socket pass with the register
// that holds the family.
func allows(t *testing.T, p *specs.LinuxSeccomp, register uint64) bool {
	t.Helper()
	for _, c := range p.Syscalls {
		for _, name := range c.Names {
			if name != "socket" {
				continue
			}
			assert.Equal(t, len(c.Args), 1, "a rule for socket without a condition")
			arg := c.Args[0]
			assert.Equal(t, arg.Op, specs.OpMaskedEqual)
			if register&arg.Value == arg.ValueTwo {
				return true
			}
		}
	}
	return false
}

func TestSocketFamiliesAreJudgedByTheBitsThatTheKernelReads(t *testing.T) {
	p, err := spec.DefaultSeccomp(&specs.Spec{Process: &specs.Process{
		Capabilities: &specs.LinuxCapabilities{Bounding: caps.Default()},
	}})
	assert.NilError(t, err)
	for family := uint64(0); family < 64; family++ {
		want := family != unix.AF_ALG && family != unix.AF_VSOCK
		for _, high := range []uint64{0, 1 << 32, 1 << 63, 0xffffffff << 32} {
			assert.Equal(t, allows(t, p, high|family), want, "family %d with %#x", family, high)
		}
	}
	assert.Assert(t, !allows(t, p, 64))
	assert.Assert(t, !allows(t, p, 0xffffffff))
}

func TestAProfileIsNotPassedOverWhereThereAreNoFilters(t *testing.T) {
	in := spec.Input{
		ID: "c", Path: "true", Config: &container.Config{},
		HostConfig: &container.HostConfig{SecurityOpt: []string{`seccomp={"defaultAction":"SCMP_ACT_ALLOW"}`}},
	}
	_, err := spec.Make(in)
	assert.ErrorContains(t, err, "cannot run a custom seccomp profile")
	in.HostConfig.SecurityOpt = nil
	made, err := spec.Make(in)
	assert.NilError(t, err)
	assert.Assert(t, made.Linux.Seccomp == nil)
}
