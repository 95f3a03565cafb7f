package seccomp

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
)

// ScmpFilter is a filter that is being put together. It has no resources to release.
type ScmpFilter struct {
	action   ScmpAction
	archs    []ScmpArch // besides the native one
	rules    []rule
	optimize int
	noNNP    bool // do not set no_new_privs at load; the opposite of the bit
	log      bool
	ssb      bool
	waitKill bool
}

type rule struct {
	call       ScmpSyscall
	action     ScmpAction
	conditions []ScmpCondition
}

// NewFilter begins a filter with what happens to calls that no rule matches.
func NewFilter(defaultAction ScmpAction) (*ScmpFilter, error) {
	if _, err := defaultAction.native(); err != nil {
		return nil, err
	}
	return &ScmpFilter{action: defaultAction}, nil
}

// IsValid tells whether the filter was made by NewFilter.
func (f *ScmpFilter) IsValid() bool { return f.action != ActInvalid }

// Release is for programs that are used to libseccomp's filters.
func (f *ScmpFilter) Release() {}

// AddArch has the filter match calls of a further architecture.
func (f *ScmpFilter) AddArch(arch ScmpArch) error {
	if _, err := arch.native(); err != nil {
		return err
	}
	f.archs = append(f.archs, arch)
	return nil
}

// AddRule gives a system call an action.
func (f *ScmpFilter) AddRule(call ScmpSyscall, action ScmpAction) error {
	return f.AddRuleConditional(call, action, nil)
}

// AddRuleConditional gives a system call an action if all conditions hold.
func (f *ScmpFilter) AddRuleConditional(call ScmpSyscall, action ScmpAction, conditions []ScmpCondition) error {
	if p := packed(call); p != nil {
		f.addPack(p)
		return nil
	}
	if _, err := action.native(); err != nil {
		return err
	}
	if action == f.action {
		return errors.New("seccomp: a rule with the default action says nothing")
	}
	f.rules = append(f.rules, rule{call, action, conditions})
	return nil
}

// SetOptimize chooses how libseccomp arranges the rules: 1 by priority, 2 as a binary tree.
func (f *ScmpFilter) SetOptimize(level int) error {
	f.optimize = level
	return nil
}

// SetNoNewPrivsBit tells whether loading sets no_new_privs.
func (f *ScmpFilter) SetNoNewPrivsBit(on bool) error {
	f.noNNP = !on
	return nil
}

// GetNoNewPrivsBit tells whether loading sets no_new_privs.
func (f *ScmpFilter) GetNoNewPrivsBit() (bool, error) { return !f.noNNP, nil }

// SetLogBit has the kernel log what is denied.
func (f *ScmpFilter) SetLogBit(on bool) error {
	if api, _ := GetAPI(); api < 3 {
		return &VersionError{"the log flag"}
	}
	f.log = on
	return nil
}

// GetLogBit tells whether the kernel logs what is denied.
func (f *ScmpFilter) GetLogBit() (bool, error) {
	if api, _ := GetAPI(); api < 3 {
		return false, &VersionError{"the log flag"}
	}
	return f.log, nil
}

// SetSSB leaves speculative store bypass on.
func (f *ScmpFilter) SetSSB(on bool) error {
	if api, _ := GetAPI(); api < 4 {
		return &VersionError{"the SSB flag"}
	}
	f.ssb = on
	return nil
}

// GetSSB tells whether speculative store bypass is left on.
func (f *ScmpFilter) GetSSB() (bool, error) {
	if api, _ := GetAPI(); api < 4 {
		return false, &VersionError{"the SSB flag"}
	}
	return f.ssb, nil
}

// SetWaitKill has a process that waits for a supervisor's answer be killable only.
func (f *ScmpFilter) SetWaitKill(on bool) error {
	if api, _ := GetAPI(); api < 7 {
		return &VersionError{"the WaitKill flag"}
	}
	f.waitKill = on
	return nil
}

// GetWaitKill tells about SetWaitKill.
func (f *ScmpFilter) GetWaitKill() (bool, error) {
	if api, _ := GetAPI(); api < 7 {
		return false, &VersionError{"the WaitKill flag"}
	}
	return f.waitKill, nil
}

// Key is a hash over all that the compiled filter depends on but the version of
// the compiler.
func (f *ScmpFilter) Key() string {
	h := sha256.New()
	var buf []byte
	put := func(values ...uint64) {
		for _, v := range values {
			buf = binary.LittleEndian.AppendUint64(buf, v)
		}
	}
	native, _ := GetNativeArch()
	put(1, uint64(native), uint64(f.action), uint64(f.optimize), uint64(len(f.archs)))
	for _, a := range f.archs {
		put(uint64(a))
	}
	for _, r := range f.rules {
		put(uint64(uint32(r.call)), uint64(r.action), uint64(len(r.conditions)))
		for _, c := range r.conditions {
			put(uint64(c.Argument), uint64(c.Op), c.Operand1, c.Operand2)
		}
	}
	h.Write(buf)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// OnExport, if it is set, is told of each filter that is asked for, and whether it
// is carried. It is for the test that makes and checks the compiled filters.
var OnExport func(f *ScmpFilter, key string, carried bool)

// ExportBPF writes the compiled filter: the instructions of the kernel's
// struct sock_filter, one after the other.
func (f *ScmpFilter) ExportBPF(file *os.File) error {
	bpf, err := f.ExportBPFMem()
	if err != nil {
		return err
	}
	_, err = file.Write(bpf)
	return err
}

// ExportBPFMem gives the compiled filter.
func (f *ScmpFilter) ExportBPFMem() ([]byte, error) {
	key := f.Key()
	bpf, carried := compiled(key)
	if OnExport != nil {
		OnExport(f, key, carried)
	}
	if carried {
		return bpf, nil
	}
	return f.Compile()
}
