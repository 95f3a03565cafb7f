package foreign

// A verdict is how a rule or a chain ends the way of a packet.
type verdict int

const (
	next   verdict = iota // the packet goes on
	accept                // for this hook of this table
	drop                  // or reject
	back                  // to the chain that jumped here
	jump
	leave // goto: a jump that does not come back
)

// A rule as far as it matters here.
type rule struct {
	handle  uint64
	ours    bool
	some    bool // it has conditions
	sweeps  bool // its conditions are only of the kind that closing rules have, such as the protocol
	verdict verdict
	to      string // of jump and leave
}

// table is the chains of one table.
type table map[string][]rule

// deepest is how far jumps are followed; the kernel allows 16.
const deepest = 16

// end tells what a chain does to a packet that meets no condition, and at which rule. At
// the end of the chain it is next, and the number of rules.
func (t table) end(chain string, depth int) (verdict, int) {
	for i, r := range t[chain] {
		if r.some || r.ours {
			continue
		}
		switch r.verdict {
		case accept, drop:
			return r.verdict, i
		case back:
			return next, i
		case jump, leave:
			if depth == deepest {
				return next, i
			}
			v, _ := t.end(r.to, depth+1)
			if v != next || r.verdict == leave {
				return v, i
			}
		}
	}
	return next, len(t[chain])
}

// place says whether a chain that begins at a hook needs our rule, before which of its rules it
// belongs, and whether it is well placed already.
func (t table) place(chain string, dropsAtEnd bool) (needed bool, before int, there bool) {
	v, at := t.end(chain, 0)
	if v == accept || v == next && !dropsAtEnd {
		return false, 0, false
	}
	rules := t[chain]
	// "reject TCP with a reset, reject the rest" is one closing of several rules.
	for at > 0 && rules[at-1].sweeps {
		at--
	}
	for _, r := range rules[:at] {
		if r.ours {
			return true, at, true
		}
	}
	return true, at, false
}
