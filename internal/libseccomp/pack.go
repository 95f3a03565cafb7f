package seccomp

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
)

// packPrefix begins the name of a system call that stands for a whole list of rules.
const packPrefix = "engine-rules-1:"

// pack is a list of rules on its way through libcontainer, which writes its
// configuration as JSON for each process that it starts and for each container that it keeps.
type pack struct {
	optimize int
	last     map[ScmpArch]ScmpSyscall // the largest number, for each architecture
	rules    []rule
}

// packs are those that names were resolved to in this process. Their numbers begin where no call's are.
var packs struct {
	sync.Mutex
	list []*pack
}

const firstPack ScmpSyscall = math.MinInt32

// PackRules gives a name that stands for all rules of the filter and for how it is
// optimized: GetSyscallFromName resolves it, and a rule for what that gives adds them all.
// last has, for each architecture, the largest number of a call that the
// profile names. The name needs nothing but this package, in this or a later version, to be understood.
func (f *ScmpFilter) PackRules(last map[ScmpArch]ScmpSyscall) string {
	var b []byte
	put := func(v uint64) { b = binary.AppendUvarint(b, v) }
	put(uint64(f.optimize))
	put(uint64(len(last)))
	archs := make([]ScmpArch, 0, len(last))
	for a := range last {
		archs = append(archs, a)
	}
	slices.Sort(archs)
	for _, a := range archs {
		put(uint64(a))
		b = binary.AppendVarint(b, int64(last[a]))
	}
	put(uint64(len(f.rules)))
	var before ScmpSyscall
	for _, r := range f.rules {
		b = binary.AppendVarint(b, int64(r.call)-int64(before))
		before = r.call
		put(uint64(r.action))
		put(uint64(len(r.conditions)))
		for _, c := range r.conditions {
			put(uint64(c.Argument))
			put(uint64(c.Op))
			put(c.Operand1)
			put(c.Operand2)
		}
	}
	return packPrefix + base64.RawStdEncoding.EncodeToString(b)
}

var errPack = errors.New("seccomp: the packed rules are damaged")

func unpack(text string) (*pack, error) {
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPack, err)
	}
	bad := false
	get := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			bad, b = true, nil
			return 0
		}
		b = b[n:]
		return v
	}
	signed := func() int64 {
		v := get()
		return int64(v>>1) ^ -int64(v&1)
	}
	p := &pack{optimize: int(get()), last: map[ScmpArch]ScmpSyscall{}}
	for n := get(); n > 0 && !bad; n-- {
		arch := ScmpArch(get())
		p.last[arch] = ScmpSyscall(signed())
	}
	var call int64
	for n := get(); n > 0 && !bad; n-- {
		call += signed()
		r := rule{call: ScmpSyscall(call), action: ScmpAction(get())}
		for c := get(); c > 0 && !bad; c-- {
			r.conditions = append(r.conditions, ScmpCondition{uint(get()), ScmpCompareOp(get()), get(), get()})
		}
		p.rules = append(p.rules, r)
	}
	if bad || len(b) > 0 {
		return nil, errPack
	}
	return p, nil
}

// resolvePack gives the number of a name that PackRules made, and false for any other name.
func resolvePack(name string) (ScmpSyscall, bool, error) {
	text, ok := strings.CutPrefix(name, packPrefix)
	if !ok {
		return 0, false, nil
	}
	p, err := unpack(text)
	if err != nil {
		return 0, true, err
	}
	packs.Lock()
	defer packs.Unlock()
	packs.list = append(packs.list, p)
	return firstPack + ScmpSyscall(len(packs.list)-1), true, nil
}

// packed is the list that a number stands for; nil for a call's own number.
func packed(call ScmpSyscall) *pack {
	packs.Lock()
	defer packs.Unlock()
	if n := int64(call) - int64(firstPack); n < int64(len(packs.list)) {
		return packs.list[n]
	}
	return nil
}

func (f *ScmpFilter) addPack(p *pack) {
	f.rules = append(f.rules, p.rules...)
	f.optimize = p.optimize
}

// lastOfPack is the largest number that the packed profile has on an architecture.
func lastOfPack(text string, arch ScmpArch) (ScmpSyscall, error) {
	p, err := unpack(text)
	if err != nil {
		return 0, err
	}
	if arch == ArchNative {
		if arch, err = GetNativeArch(); err != nil {
			return 0, err
		}
	}
	nr, ok := p.last[arch]
	if !ok {
		return 0, ErrSyscallDoesNotExist
	}
	return nr, nil
}
