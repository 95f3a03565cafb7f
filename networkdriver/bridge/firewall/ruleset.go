package firewall

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Mark is set on the packets that our forward chain accepts, so that one rule in the
// chain of another program that drops by default lets them through.
const Mark = 0x00e9_0000

// ForwardPriority is that of the chain that sets the mark: ahead of other programs' filters.
const ForwardPriority = -10

// Registers: four bytes each from reg32 on; a register of 16 bytes is four of them.
const (
	reg32 = 8 // NFT_REG32_00
	reg16 = 1 // NFT_REG_1, the same place
)

// sets are the table's, empty.
func (t *Table) sets() []*nftables.Set {
	inetPort := func(a nftables.SetDatatype) nftables.SetDatatype {
		return nftables.MustConcatSetType(a, nftables.TypeInetProto, nftables.TypeInetService)
	}
	var sets []*nftables.Set
	add := func(s nftables.Set) {
		s.Table = t.nft
		sets = append(sets, &s)
	}
	add(nftables.Set{Name: "bridges", KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian})
	add(nftables.Set{Name: "within", Concatenation: true, KeyType: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIFName)})
	add(nftables.Set{Name: "apart", Concatenation: true, KeyType: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIFName)})
	add(nftables.Set{Name: "linked4", Interval: true, Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService)})
	add(nftables.Set{Name: "internal", KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian})
	add(nftables.Set{Name: "shut4", KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian})
	add(nftables.Set{Name: "shut6", KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian})
	for _, f := range []struct {
		v    string
		addr nftables.SetDatatype
	}{{"4", nftables.TypeIPAddr}, {"6", nftables.TypeIP6Addr}} {
		add(nftables.Set{Name: "guarded" + f.v, KeyType: f.addr, Interval: true})
		add(nftables.Set{Name: "masq" + f.v, KeyType: f.addr, Interval: true})
		add(nftables.Set{Name: "hairpin" + f.v, Interval: true, Concatenation: true,
			KeyType: nftables.MustConcatSetType(nftables.TypeIFName, f.addr)})
		add(nftables.Set{Name: "ports" + f.v, IsMap: true, Interval: true, Concatenation: true,
			KeyType: inetPort(f.addr), DataType: nftables.MustConcatSetType(f.addr, nftables.TypeInetService)})
		add(nftables.Set{Name: "ranges" + f.v, IsMap: true, Interval: true, Concatenation: true,
			KeyType: inetPort(f.addr), DataType: f.addr})
		add(nftables.Set{Name: "relayed" + f.v, IsMap: true, Interval: true, Concatenation: true,
			KeyType: inetPort(f.addr), DataType: nftables.TypeInetService})
		add(nftables.Set{Name: "trusted" + f.v, Interval: true, Concatenation: true,
			KeyType: nftables.MustConcatSetType(nftables.TypeIFName, f.addr)})
		add(nftables.Set{Name: "direct" + f.v, Interval: true, Concatenation: true,
			KeyType: nftables.MustConcatSetType(nftables.TypeIFName, f.addr, nftables.TypeInetProto, nftables.TypeInetService)})
		add(nftables.Set{Name: "open" + f.v, Interval: true, Concatenation: true, KeyType: inetPort(f.addr)})
	}
	add(nftables.Set{Name: "relays", Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService)})
	return sets
}

// family is how the two versions of IP differ in rules.
type family struct {
	v             string
	nfproto       byte
	saddr, daddr  uint32 // offsets in the header
	bytes         uint32 // of an address
	loopback, net []byte // of the loopback network, its mask
}

var families = []family{
	{"4", unix.NFPROTO_IPV4, 12, 16, 4, []byte{127, 0, 0, 0}, []byte{255, 0, 0, 0}},
	{"6", unix.NFPROTO_IPV6, 8, 24, 16, append(make([]byte, 15), 1), []byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}},
}

func (f family) is() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg16},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg16, Data: []byte{f.nfproto}},
	}
}

func (f family) load(offset uint32, reg uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: f.bytes}
}

// in tests the address at an offset against a set.
func (f family) in(offset uint32, set string) []expr.Any {
	return append(f.is(), f.load(offset, reg16), lookup(set+f.v, false))
}

// isLoopback tests whether the address at an offset is one of the loopback network.
func (f family) isLoopback(offset uint32) []expr.Any {
	return append(f.is(), f.load(offset, reg16),
		&expr.Bitwise{SourceRegister: reg16, DestRegister: reg16, Len: f.bytes, Mask: f.net, Xor: make([]byte, f.bytes)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg16, Data: f.loopback})
}

func lookup(set string, not bool) expr.Any {
	return &expr.Lookup{SourceRegister: reg16, SetName: set, Invert: not}
}

func meta(key expr.MetaKey, set string, not bool) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: reg16}, lookup(set, not)}
}

func from(set string) []expr.Any    { return meta(expr.MetaKeyIIFNAME, set, false) }
func notFrom(set string) []expr.Any { return meta(expr.MetaKeyIIFNAME, set, true) }
func to(set string) []expr.Any      { return meta(expr.MetaKeyOIFNAME, set, false) }
func notTo(set string) []expr.Any   { return meta(expr.MetaKeyOIFNAME, set, true) }

// ways tests the interfaces that a packet comes from and goes to.
func ways(set string) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg32},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg32 + 4},
		&expr.Lookup{SourceRegister: reg32, SetName: set},
	}
}

// ct tests that one of the bits of a connection's state or status is set.
func ct(key expr.CtKey, bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: reg16},
		&expr.Bitwise{SourceRegister: reg16, DestRegister: reg16, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg16, Data: make([]byte, 4)},
	}
}

const statusDNAT = 1 << 5 // IPS_DST_NAT

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }
func jump(kind expr.VerdictKind, chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}
}

func rule(parts ...[]expr.Any) []expr.Any {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

type chain struct {
	name  string
	kind  nftables.ChainType // "" is no base chain
	hook  *nftables.ChainHook
	prio  int32
	rules [][]expr.Any
}

// chains is the whole of what never changes.
func chains() []chain {
	drop, accept := verdict(expr.VerdictDrop), verdict(expr.VerdictAccept)
	local := []expr.Any{
		&expr.Fib{Register: reg16, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg16, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
	masquerade := []expr.Any{&expr.Masq{}}
	v4 := families[0]

	toPort := func(reg uint32) expr.Any {
		return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
	}
	raw := chain{name: "raw", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookPrerouting, prio: -300}
	ports := chain{name: "ports"}
	post := chain{name: "postrouting", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookPostrouting, prio: 100}
	open, direct, shut := [][]expr.Any{}, [][]expr.Any{}, [][]expr.Any{}
	// Where the kernel filters bridged packets too, each one between two containers comes through raw and
	// forward: what decides about those stands first, and has one look into a set.
	raw.rules = append(raw.rules, rule(from("bridges"), jump(expr.VerdictGoto, "inside")))
	outsiders := chain{name: "outsiders"} // who route to a container without a published port
	inside := chain{name: "inside"}
	for _, f := range families {
		if f.v == "4" {
			// route_localnet is on for our bridges: nothing from them may use it.
			inside.rules = append(inside.rules, rule(f.isLoopback(f.daddr), drop))
		}
		raw.rules = append(raw.rules, rule(f.in(f.daddr, "guarded"), jump(expr.VerdictGoto, "outsiders")))
		outsiders.rules = append(outsiders.rules, rule(f.is(), []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg32},
			f.load(f.daddr, reg32+4),
			&expr.Lookup{SourceRegister: reg32, SetName: "trusted" + f.v},
		}, accept))

		shut = append(shut, rule(f.is(), from("shut"+f.v), to("shut"+f.v), drop))

		words := f.bytes / 4
		key := []expr.Any{
			f.load(f.daddr, reg32),
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg32 + words},
			toPort(reg32 + words + 1),
		}
		open = append(open, rule(to("bridges"), f.is(), key, []expr.Any{
			&expr.Lookup{SourceRegister: reg32, SetName: "open" + f.v},
		}, jump(expr.VerdictGoto, "pass")))
		direct = append(direct, rule(to("bridges"), f.is(), []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg32},
			f.load(f.daddr, reg32+4),
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg32 + 4 + words},
			toPort(reg32 + 4 + words + 1),
			&expr.Lookup{SourceRegister: reg32, SetName: "direct" + f.v},
		}, jump(expr.VerdictGoto, "pass")))
		nat := func(set string, withPort bool) []expr.Any {
			n := &expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(f.nfproto), RegAddrMin: reg16}
			if withPort {
				n.RegProtoMin, n.Specified = reg32+words, true
			}
			return rule(f.is(), key, []expr.Any{
				&expr.Lookup{SourceRegister: reg32, SetName: set + f.v, DestRegister: reg16, IsDestRegSet: true}, n,
			})
		}
		ports.rules = append(ports.rules, rule(f.is(), key, []expr.Any{
			&expr.Lookup{SourceRegister: reg32, SetName: "relayed" + f.v, DestRegister: reg16, IsDestRegSet: true},
			&expr.Redir{RegisterProtoMin: reg16},
		}), nat("ranges", false), nat("ports", true))

		post.rules = append(post.rules,
			rule(to("bridges"), ct(expr.CtKeySTATUS, statusDNAT), f.isLoopback(f.saddr), masquerade),
			rule(f.is(), []expr.Any{
				&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg32},
				f.load(f.saddr, reg32+4),
				&expr.Lookup{SourceRegister: reg32, SetName: "hairpin" + f.v},
			}, ct(expr.CtKeySTATUS, statusDNAT), masquerade),
			rule(f.in(f.saddr, "masq"), notTo("bridges"), masquerade),
		)
	}
	outsiders.rules = append(outsiders.rules, drop)
	return []chain{
		inside,
		outsiders,
		raw,
		ports,
		{name: "prerouting", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookPrerouting, prio: -100,
			rules: [][]expr.Any{rule(local, jump(expr.VerdictJump, "ports"))}},
		{name: "output", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookOutput, prio: -100,
			rules: [][]expr.Any{rule(local, jump(expr.VerdictJump, "ports"))}},
		post,
		{name: "pass", rules: [][]expr.Any{rule([]expr.Any{
			&expr.Meta{Key: expr.MetaKeyMARK, Register: reg16},
			&expr.Bitwise{SourceRegister: reg16, DestRegister: reg16, Len: 4,
				Mask: binaryutil.NativeEndian.PutUint32(^uint32(Mark)), Xor: binaryutil.NativeEndian.PutUint32(Mark)},
			&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg16},
		}, accept)}},
		{name: "links", rules: [][]expr.Any{
			rule(v4.is(), []expr.Any{
				v4.load(v4.saddr, reg32),
				v4.load(v4.daddr, reg32+1),
				&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg32 + 2},
				toPort(reg32 + 3),
				&expr.Lookup{SourceRegister: reg32, SetName: "linked4"},
			}, jump(expr.VerdictGoto, "pass")),
			rule(drop),
		}},
		// Nobody reaches the relay but this host, and who was led there.
		{name: "input", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookInput, prio: ForwardPriority,
			rules: [][]expr.Any{rule([]expr.Any{
				&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg16},
				&expr.Cmp{Op: expr.CmpOpNeq, Register: reg16, Data: []byte(ifname("lo"))},
				&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg32},
				toPort(reg32 + 1),
				&expr.Lookup{SourceRegister: reg32, SetName: "relays"},
			}, jump(expr.VerdictGoto, "relay"))}},
		{name: "relay", rules: [][]expr.Any{rule(ct(expr.CtKeySTATUS, statusDNAT), accept), rule(drop)}},
		// Ahead of other programs' filters, which see the mark.
		{name: "forward", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookForward, prio: ForwardPriority,
			rules: slices.Concat([][]expr.Any{
				// Within a bridge the bridge decides.
				rule(ways("within"), jump(expr.VerdictGoto, "pass")),
			}, shut, [][]expr.Any{
				rule(notFrom("bridges"), notTo("bridges"), accept),
				rule(to("internal"), drop),
				rule(from("internal"), drop),
				rule(ct(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), jump(expr.VerdictGoto, "pass")),
				rule(to("bridges"), ct(expr.CtKeySTATUS, statusDNAT), jump(expr.VerdictGoto, "pass")),
				rule(ways("apart"), jump(expr.VerdictGoto, "links")),
			}, open, direct, [][]expr.Any{
				rule(to("bridges"), drop),
				rule(jump(expr.VerdictGoto, "pass")),
			})},
	}
}
