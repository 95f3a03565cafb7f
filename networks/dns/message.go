package dns

import (
	"encoding/binary"
	"net/netip"
)

// The numbers of RFC 1035, 3596 and 6891 that are needed here.
const (
	typeA    = 1
	typePTR  = 12
	typeAAAA = 28
	typeOPT  = 41
	typeIXFR = 251
	typeAXFR = 252
	typeANY  = 255

	classIN = 1

	codeOK       = 0
	codeFormat   = 1
	codeFailure  = 2
	codeNoName   = 3
	codeNotImpl  = 4
	codeRefused  = 5
	headerBytes  = 12
	plainBytes   = 512  // of an answer by UDP to whom does not say more
	ownBytes     = 4096 // what we say that we take
	maxQuery     = 4096
	maxNameBytes = 255
	maxLabel     = 63
)

// A query is what is read of a message that asks.
type query struct {
	msg        []byte // the whole
	name       [maxNameBytes]byte
	nameLen    int    // of name, in lower case, with dots between the labels and none at the end
	odd        bool   // there is a dot inside a label, so that name is not what was asked
	kind       uint16 // the type
	class      uint16
	end        int  // of the question in msg
	edns       bool // there is an OPT record
	limitBytes int  // of an answer
}

func (q *query) text() []byte { return q.name[:q.nameLen] }

// parse reads a query. The code is one for the answer; answer is false for what gets none: no query at
// all. An answer to a malformed message repeats its id only, and q.end is the header's then.
func parse(q *query, msg []byte, udp bool) (code int, answer bool) {
	q.msg, q.nameLen, q.odd, q.edns, q.end, q.limitBytes = msg, 0, false, false, headerBytes, 65535
	if udp {
		q.limitBytes = plainBytes
	}
	if len(msg) < headerBytes || msg[2]&0x80 != 0 {
		return 0, false
	}
	switch {
	case msg[2]>>3&15 != 0:
		return codeNotImpl, true
	case len(msg) > maxQuery, binary.BigEndian.Uint16(msg[4:]) != 1:
		return codeFormat, true
	}
	end, ok := q.question(msg)
	if !ok {
		return codeFormat, true
	}
	q.end = end
	if !q.options(end, udp) {
		q.end = headerBytes
		return codeFormat, true
	}
	return codeOK, true
}

// question reads the one question. Its name stands first in the message, so there is
// nothing that it could point to.
func (q *query) question(msg []byte) (end int, ok bool) {
	at := headerBytes
	for {
		if at >= len(msg) {
			return 0, false
		}
		n := int(msg[at])
		at++
		if n == 0 {
			break
		}
		if n > maxLabel || at+n > len(msg) || at+n-headerBytes >= maxNameBytes {
			return 0, false
		}
		if q.nameLen > 0 {
			q.name[q.nameLen] = '.'
			q.nameLen++
		}
		for _, c := range msg[at : at+n] {
			switch {
			case 'A' <= c && c <= 'Z':
				c += 'a' - 'A'
			case c == '.':
				q.odd = true
			}
			q.name[q.nameLen] = c
			q.nameLen++
		}
		at += n
	}
	if at+4 > len(msg) {
		return 0, false
	}
	q.kind, q.class = binary.BigEndian.Uint16(msg[at:]), binary.BigEndian.Uint16(msg[at+2:])
	return at + 4, true
}

// options looks for the size that EDNS names, among the records after the question.
func (q *query) options(at int, udp bool) bool {
	records := int(binary.BigEndian.Uint16(q.msg[6:])) + int(binary.BigEndian.Uint16(q.msg[8:])) + int(binary.BigEndian.Uint16(q.msg[10:]))
	for range records {
		root := at < len(q.msg) && q.msg[at] == 0
		var ok bool
		if at, ok = skipName(q.msg, at); !ok || at+10 > len(q.msg) {
			return false
		}
		kind, class, size := binary.BigEndian.Uint16(q.msg[at:]), binary.BigEndian.Uint16(q.msg[at+2:]), binary.BigEndian.Uint16(q.msg[at+8:])
		if at += 10 + int(size); at > len(q.msg) {
			return false
		}
		if kind == typeOPT && root {
			if q.edns {
				return false // RFC 6891 allows one
			}
			q.edns = true
			if udp {
				q.limitBytes = max(plainBytes, int(class))
			}
		}
	}
	return true
}

func skipName(msg []byte, at int) (int, bool) {
	for at < len(msg) {
		switch n := int(msg[at]); {
		case n == 0:
			return at + 1, true
		case n >= 0xc0:
			return at + 2, at+2 <= len(msg)
		case n > maxLabel:
			return 0, false
		default:
			at += 1 + n
		}
	}
	return 0, false
}

// A reply is written from front to back.
type reply struct {
	b     []byte
	q     *query
	full  bool
	count uint16
}

// begin starts a reply that repeats the question.
func begin(b []byte, q *query) *reply {
	b = append(b[:0], q.msg[:q.end]...)
	b[2] = 0x80 | q.msg[2]&0x79 // an answer; the operation and RD as they were
	b[3] = 0x80                 // RA
	for i := 4; i < headerBytes; i++ {
		b[i] = 0
	}
	if q.end > headerBytes {
		b[5] = 1
	}
	return &reply{b: b, q: q}
}

// room tells whether there is room for n more bytes beside the OPT record; if not, the
// answer says that it was cut.
func (r *reply) room(n int) bool {
	if r.q.edns {
		n += 11
	}
	if len(r.b)+n > r.q.limitBytes {
		r.full = true
	}
	return !r.full
}

// record adds a record about the name that was asked. It may be kept for no time: what a
// container is called can be another thing in the next moment.
func (r *reply) record(kind uint16, data []byte) {
	if !r.room(12 + len(data)) {
		return
	}
	r.b = append(r.b, 0xc0, headerBytes)
	r.b = binary.BigEndian.AppendUint16(r.b, kind)
	r.b = append(r.b, 0, classIN, 0, 0, 0, 0)
	r.b = binary.BigEndian.AppendUint16(r.b, uint16(len(data)))
	r.b = append(r.b, data...)
	r.count++
}

func (r *reply) addr(a netip.Addr) {
	if a.Is4() {
		b := a.As4()
		r.record(typeA, b[:])
	} else {
		b := a.As16()
		r.record(typeAAAA, b[:])
	}
}

// done finishes the reply.
func (r *reply) done(code int) []byte {
	r.b[3] |= byte(code)
	if r.full {
		r.b[2] |= 0x02
	}
	binary.BigEndian.PutUint16(r.b[6:], r.count)
	if r.q.edns {
		r.b[11] = 1
		r.b = append(r.b, 0, 0, typeOPT, ownBytes>>8, ownBytes&0xff, 0, 0, 0, 0, 0, 0)
	}
	return r.b
}

// appendName writes a name with dots as labels.
func appendName(b []byte, name string) ([]byte, bool) {
	start := len(b)
	for len(name) > 0 {
		n := 0
		for n < len(name) && name[n] != '.' {
			n++
		}
		if n == 0 || n > maxLabel {
			return b[:start], false
		}
		b = append(append(b, byte(n)), name[:n]...)
		if name = name[n:]; len(name) > 0 {
			if name = name[1:]; len(name) == 0 {
				return b[:start], false
			}
		}
	}
	b = append(b, 0)
	return b, len(b)-start <= maxNameBytes
}

// reverse gives the address that a name under in-addr.arpa or ip6.arpa stands for.
func reverse(name []byte) (netip.Addr, bool) {
	const four, six = ".in-addr.arpa", ".ip6.arpa"
	switch {
	case hasSuffix(name, four):
		var b [4]byte
		rest := name[:len(name)-len(four)]
		for i := 3; i >= 0; i-- {
			n, digits := 0, 0
			for len(rest) > 0 && rest[0] != '.' {
				if rest[0] < '0' || rest[0] > '9' || digits == 3 {
					return netip.Addr{}, false
				}
				n, digits, rest = n*10+int(rest[0]-'0'), digits+1, rest[1:]
			}
			if digits == 0 || n > 255 || (len(rest) > 0) != (i > 0) {
				return netip.Addr{}, false
			}
			if b[i] = byte(n); i > 0 {
				rest = rest[1:]
			}
		}
		return netip.AddrFrom4(b), true
	case hasSuffix(name, six) && len(name) == 63+len(six):
		var b [16]byte
		for i := range 32 {
			c := name[2*i]
			switch {
			case '0' <= c && c <= '9':
				c -= '0'
			case 'a' <= c && c <= 'f':
				c -= 'a' - 10
			default:
				return netip.Addr{}, false
			}
			if i < 31 && name[2*i+1] != '.' {
				return netip.Addr{}, false
			}
			b[15-i/2] |= c << (4 * (i % 2))
		}
		return netip.AddrFrom16(b), true
	}
	return netip.Addr{}, false
}

func hasSuffix(name []byte, suffix string) bool {
	return len(name) >= len(suffix) && string(name[len(name)-len(suffix):]) == suffix
}

// answers tells whether a message is an answer to what was asked: its question is repeated,
// in whatever case.
func answers(msg, asked []byte, id uint16) bool {
	if len(msg) < headerBytes || msg[2]&0x80 == 0 || binary.BigEndian.Uint16(msg) != id {
		return false
	}
	if msg[4] == 0 && msg[5] == 0 {
		return msg[3]&15 != codeOK // some refuse without repeating what
	}
	if len(msg) < len(asked) || msg[4] != 0 || msg[5] != 1 {
		return false
	}
	for i := headerBytes; i < len(asked); i++ {
		a, b := msg[i], asked[i]
		if a != b && (a|0x20 != b|0x20 || a|0x20 < 'a' || a|0x20 > 'z') {
			return false
		}
	}
	return true
}
