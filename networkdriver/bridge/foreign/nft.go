package foreign

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A base is a chain that the kernel calls for forwarded packets.
type base struct {
	table *nftables.Table
	name  string
	drops bool
	early bool // it runs before our own chain has set the mark
}

func (b base) String() string {
	family := map[nftables.TableFamily]string{
		nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6", nftables.TableFamilyINet: "inet",
	}[b.table.Family]
	return fmt.Sprintf("%s %s %s", family, b.table.Name, b.name)
}

// bases lists the chains of others that filter what is forwarded.
func (f *Filters) bases() ([]base, error) {
	chains, err := f.conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("chains: %w", err)
	}
	var list []base
	for _, c := range chains {
		if c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookForward || c.Table.Family == nftables.TableFamilyINet && c.Table.Name == f.cfg.Own {
			continue
		}
		switch c.Table.Family {
		case nftables.TableFamilyIPv4, nftables.TableFamilyIPv6, nftables.TableFamilyINet:
			list = append(list, base{
				table: c.Table, name: c.Name, drops: c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop,
				early: c.Priority != nil && int32(*c.Priority) <= f.cfg.Priority,
			})
		}
	}
	return list, nil
}

// rules reads the chains of a table. The rules are decoded here, and not by the library, because
// an expression that it does not know has to count as a condition.
func (f *Filters) rules(t *nftables.Table) (table, error) {
	name, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.NFTA_RULE_TABLE, Data: []byte(t.Name + "\x00")}})
	if err != nil {
		return nil, err
	}
	for range 20 {
		replies, err := f.raw.Execute(netlink.Message{
			Header: netlink.Header{
				Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETRULE),
				Flags: netlink.Request | netlink.Dump,
			},
			Data: append([]byte{byte(t.Family), unix.NFNETLINK_V0, 0, 0}, name...),
		})
		if err != nil {
			return nil, fmt.Errorf("rules of %s: %w", t.Name, err)
		}
		if slices.ContainsFunc(replies, func(m netlink.Message) bool { return m.Header.Flags&netlink.DumpInterrupted != 0 }) {
			continue // somebody changed the table meanwhile
		}
		all := table{}
		for _, m := range replies {
			chain, r, err := f.decode(m.Data)
			if err != nil {
				return nil, fmt.Errorf("rules of %s: %w", t.Name, err)
			}
			all[chain] = append(all[chain], r)
		}
		return all, nil
	}
	return nil, fmt.Errorf("rules of %s: %w", t.Name, errRestless)
}

var errRestless = errors.New("they change all the time")

func (f *Filters) decode(message []byte) (chain string, r rule, err error) {
	if len(message) < 4 {
		return "", r, errors.New("a message is cut off")
	}
	ad, err := netlink.NewAttributeDecoder(message[4:])
	if err != nil {
		return "", r, err
	}
	ad.ByteOrder = binary.BigEndian
	r.sweeps = true
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_RULE_CHAIN:
			chain = ad.String()
		case unix.NFTA_RULE_HANDLE:
			r.handle = ad.Uint64()
		case unix.NFTA_RULE_USERDATA:
			r.ours = isComment(ad.Bytes(), f.cfg.comment())
		case unix.NFTA_RULE_EXPRESSIONS:
			ad.Nested(func(list *netlink.AttributeDecoder) error {
				for list.Next() {
					list.Nested(r.expression)
				}
				return nil
			})
		}
	}
	r.sweeps = r.sweeps && (r.verdict == drop || r.verdict == next) && !r.ours
	return chain, r, ad.Err()
}

// isComment tells whether user data has a comment. Others write them too: nothing is assumed.
func isComment(data []byte, comment string) bool {
	for len(data) >= 2 && len(data) >= 2+int(data[1]) {
		value := data[2 : 2+int(data[1])]
		if data[0] == byte(userdata.TypeComment) && string(value) == comment+"\x00" {
			return true
		}
		data = data[2+int(data[1]):]
	}
	return false
}

// expression adds one expression to what is known of a rule.
func (r *rule) expression(ad *netlink.AttributeDecoder) error {
	ad.ByteOrder = binary.BigEndian
	name := ""
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_EXPR_NAME:
			name = ad.String()
			switch name {
			case "counter", "log", "immediate":
			case "reject":
				r.verdict = drop
			case "target":
				// Of iptables: REJECT, or something that we do not judge.
			case "meta":
				// It loads what another expression asks for, or nobody does: a closer look follows.
			case "payload", "cmp", "limit":
				r.some = true
			default:
				r.some, r.sweeps = true, false
			}
		case unix.NFTA_EXPR_DATA:
			switch name {
			case "immediate":
				ad.Nested(r.immediate)
			case "meta":
				ad.Nested(r.meta)
			case "payload":
				ad.Nested(r.payload)
			case "target":
				ad.Nested(r.target)
			}
		}
	}
	return nil
}

func (r *rule) immediate(ad *netlink.AttributeDecoder) error {
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		if ad.Type() == unix.NFTA_IMMEDIATE_DATA {
			ad.Nested(func(data *netlink.AttributeDecoder) error {
				for data.Next() {
					if data.Type() == unix.NFTA_DATA_VERDICT {
						data.Nested(r.code)
					}
				}
				return nil
			})
		}
	}
	return nil
}

func (r *rule) code(ad *netlink.AttributeDecoder) error {
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_VERDICT_CODE:
			switch expr.VerdictKind(int32(ad.Uint32())) {
			case expr.VerdictDrop:
				r.verdict = drop
			case expr.VerdictAccept:
				r.verdict = accept
			case expr.VerdictReturn:
				r.verdict = back
			case expr.VerdictJump:
				r.verdict = jump
			case expr.VerdictGoto:
				r.verdict = leave
			}
		case unix.NFTA_VERDICT_CHAIN:
			r.to = ad.String()
		}
	}
	return nil
}

// meta looks what is asked: the protocol is nothing particular. Setting a value asks nothing, but
// such a rule is not of a closing. iptables -i + loads the name of the interface and compares it with
// nothing; what else is loaded may be missing, which ends the rule, so it counts as a condition.
func (r *rule) meta(ad *netlink.AttributeDecoder) error {
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		if ad.Type() == unix.NFTA_META_KEY {
			switch ad.Uint32() {
			case unix.NFT_META_IIFNAME, unix.NFT_META_OIFNAME:
				r.sweeps = false
			case unix.NFT_META_L4PROTO, unix.NFT_META_NFPROTO, unix.NFT_META_PROTOCOL, unix.NFT_META_PKTTYPE:
				r.some = true
			default:
				r.some, r.sweeps = true, false
			}
		}
	}
	return nil
}

// payload looks for the protocol in the header of IP.
func (r *rule) payload(ad *netlink.AttributeDecoder) error {
	ad.ByteOrder = binary.BigEndian
	var where, offset uint32
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_PAYLOAD_BASE:
			where = ad.Uint32()
		case unix.NFTA_PAYLOAD_OFFSET:
			offset = ad.Uint32()
		}
	}
	if where != unix.NFT_PAYLOAD_NETWORK_HEADER || offset != 9 && offset != 6 {
		r.sweeps = false
	}
	return nil
}

func (r *rule) target(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		if ad.Type() != unix.NFTA_TARGET_NAME {
			continue
		}
		switch ad.String() {
		case "REJECT":
			r.verdict = drop
		case "LOG", "NFLOG":
		default:
			r.sweeps = false
		}
	}
	return nil
}

// admitNFT brings our rule into the chains that need it, and takes it out of the others. It names the chains
// that got one, and those that drop before the mark is set.
func (f *Filters) admitNFT(wanted bool) (added, early []string, err error) {
	bases, err := f.bases()
	if err != nil {
		return nil, nil, err
	}
	tables := map[string]table{}
	changes := 0
	for _, b := range bases {
		key := fmt.Sprint(b.table.Family, b.table.Name)
		if tables[key] == nil {
			if tables[key], err = f.rules(b.table); err != nil {
				return nil, nil, err
			}
		}
		rules := tables[key]
		needed, before, there := rules.place(b.name, b.drops)
		if needed && b.early {
			early = append(early, b.String())
		}
		needed = needed && wanted && !b.early
		chain := &nftables.Chain{Name: b.name, Table: b.table}
		for i, r := range rules[b.name] {
			if r.ours && (!needed || i >= before || !there) {
				if err := f.conn.DelRule(&nftables.Rule{Table: b.table, Chain: chain, Handle: r.handle}); err != nil {
					return nil, nil, err
				}
				changes++
			}
		}
		if !needed || there {
			continue
		}
		changes++
		added = append(added, b.String())
		mine := &nftables.Rule{
			Table: b.table, Chain: chain, Exprs: f.cfg.acceptMark(),
			UserData: userdata.AppendString(nil, userdata.TypeComment, f.cfg.comment()),
		}
		if before < len(rules[b.name]) {
			mine.Position = rules[b.name][before].handle
			f.conn.InsertRule(mine)
		} else {
			f.conn.AddRule(mine)
		}
	}
	if changes == 0 {
		return nil, early, nil
	}
	if err := f.conn.Flush(); err != nil {
		return nil, nil, fmt.Errorf("rules in chains of others: %w", err)
	}
	return added, early, nil
}

// acceptMark is our rule, in the form that iptables-nft writes and reads.
func (c Config) acceptMark() []expr.Any {
	mark := binaryutil.NativeEndian.PutUint32(c.Mark)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mark, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: mark},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
}
