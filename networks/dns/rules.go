package dns

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// at is the address of the resolver in every container.
var at = [4]byte{127, 0, 0, 11}

const port = 53

// loopback is the index of lo, the first interface of every namespace.
const loopback = 1

// table is the name of our table in the namespace of a container; it goes with the namespace.
const table = "engine-dns"

// leadHere makes port 53 of 127.0.0.11 the two ports of ours, in the namespace that the thread is in.
//
// The sockets are not on port 53, so that a program of the container can be, on all addresses. The
// ports of the packets are rewritten on the way out, both ways, without connection tracking: a flood fills no
// table, and a query that waits while the daemon starts again goes to whatever port the rules say by then.
func leadHere(udp, tcp uint16) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	t := &nftables.Table{Name: table, Family: nftables.TableFamilyIPv4}
	// In one transaction the rules of an earlier daemon go and ours come.
	conn.AddTable(t)
	conn.DelTable(t)
	conn.AddTable(t)
	c := conn.AddChain(&nftables.Chain{
		Table: t, Name: "output", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityRaw,
	})
	// Whatever leaves the container passes this rule and no other.
	conn.AddRule(&nftables.Rule{Table: t, Chain: c, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIF, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: unix.NFT_REG_1, Data: binary.NativeEndian.AppendUint32(nil, loopback)},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}})
	for _, p := range []struct {
		proto    byte
		checksum uint32
		ours     uint16
	}{{unix.IPPROTO_UDP, 6, udp}, {unix.IPPROTO_TCP, 16, tcp}} {
		conn.AddRule(&nftables.Rule{Table: t, Chain: c, Exprs: rewrite(p.proto, 16, 2, port, p.ours, p.checksum)})
		conn.AddRule(&nftables.Rule{Table: t, Chain: c, Exprs: rewrite(p.proto, 12, 0, p.ours, port, p.checksum)})
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}

// rewrite puts one port in the place of another, in packets of a protocol that have 127.0.0.11 at an
// offset of their IP header and the port at one of theirs.
func rewrite(proto byte, addrOffset, portOffset uint32, from, to uint16, checksum uint32) []expr.Any {
	const reg = unix.NFT_REG_1
	return []expr.Any{
		&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: addrOffset, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: at[:]},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{proto}},
		&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: portOffset, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: binary.BigEndian.AppendUint16(nil, from)},
		&expr.Notrack{},
		&expr.Immediate{Register: reg, Data: binary.BigEndian.AppendUint16(nil, to)},
		&expr.Payload{
			OperationType: expr.PayloadWrite, SourceRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: portOffset, Len: 2,
			CsumType: expr.CsumTypeInet, CsumOffset: checksum,
		},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
}
