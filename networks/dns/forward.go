package dns

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// How long others are waited for. Resolvers of C libraries give up after five seconds.
const (
	patience = 4500 * time.Millisecond // for an answer from anybody
	hedge    = 1500 * time.Millisecond // for one server, before the next one is asked too
	grudge   = 15 * time.Second        // a server that was slow is asked last for so long
)

// How much is under way at once.
const (
	maxForwards    = 1024 // of all containers
	maxForwardsOne = 128  // of one
	maxServers     = 8    // that are asked one after the other
)

// A Forwarder asks other resolvers, for all containers.
type Forwarder struct {
	servers []netip.Addr // of the daemon
	file    string       // of the host
	underWay
	patience, hedge time.Duration
	now             func() time.Time

	mu   sync.Mutex
	read fileState
	host []netip.Addr
}

type fileState struct {
	size int64
	at   time.Time
}

// NewForwarder makes one that asks servers, or, if there are none, those that a file such as
// /etc/resolv.conf names, as it is at that moment.
func NewForwarder(servers []netip.Addr, file string) *Forwarder {
	return &Forwarder{servers: servers, file: file, underWay: make(underWay, maxForwards), patience: patience, hedge: hedge, now: time.Now}
}

// underWay bounds what is done at once.
type underWay chan struct{}

func (u underWay) enter() bool {
	select {
	case u <- struct{}{}:
		return true
	default:
		return false
	}
}

func (u underWay) leave() { <-u }

// A server is another resolver.
type server struct {
	addr   netip.Addr
	onHost bool // it is asked from the namespace of the host
}

// serversFor gives whom to ask for a container.
func (f *Forwarder) serversFor(v *View) []server {
	named := v.Servers
	host := false
	if len(named) == 0 {
		named, host = f.servers, true
	}
	if len(named) == 0 {
		named = f.ofHost()
	}
	var list []server
	for _, a := range named {
		s := server{addr: a.Unmap()}
		switch {
		case !a.IsValid() || a.IsUnspecified():
			continue
		case host && a.IsLoopback():
			s.onHost = true
		case a.Zone() != "", a.Is6() && !a.IsLoopback() && !v.IPv6 && !inside(v, a):
			s.onHost = true // there is no way from the container
		case a.Unmap() == netip.AddrFrom4(at):
			continue // that is us
		}
		// Nothing of an internal network gets out, not even a question that the host would ask.
		if !v.Outside && (s.onHost || !a.IsLoopback() && !inside(v, a)) {
			continue
		}
		if list = append(list, s); len(list) == maxServers {
			break
		}
	}
	return list
}

func inside(v *View, a netip.Addr) bool {
	return slices.ContainsFunc(v.Inside, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// ofHost gives the servers of the host.
func (f *Forwarder) ofHost() []netip.Addr {
	st, err := os.Stat(f.file)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.host, f.read = nil, fileState{}
		return nil
	}
	now := fileState{st.Size(), st.ModTime()}
	if now == f.read {
		return f.host
	}
	f.host, f.read = nil, now
	file, err := os.Open(f.file)
	if err != nil {
		return nil
	}
	defer file.Close()
	text, _ := io.ReadAll(io.LimitReader(file, 1<<20))
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) > 1 && words[0] == "nameserver" {
			if a, err := netip.ParseAddr(words[1]); err == nil {
				f.host = append(f.host, a)
			}
		}
	}
	return f.host
}

// A dialer opens a connection to a server, from where it is to be asked. It is ended with its deadline.
type dialer func(s server, network string, deadline time.Time) (io.ReadWriteCloser, error)

// grudges are the servers that were waited for in vain lately. One that is known to be down at
// once costs nothing, and is asked again.
type grudges struct {
	mu    sync.Mutex
	until map[netip.Addr]time.Time
}

func (g *grudges) note(a netip.Addr, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.until == nil || len(g.until) > 4*maxServers {
		g.until = map[netip.Addr]time.Time{}
	}
	if until.IsZero() {
		delete(g.until, a)
	} else {
		g.until[a] = until
	}
}

// sort puts those behind the others.
func (g *grudges) sort(list []server, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.SortStableFunc(list, func(a, b server) int {
		x, y := g.until[a.addr].After(now), g.until[b.addr].After(now)
		switch {
		case x == y:
			return 0
		case x:
			return 1
		}
		return -1
	})
}

// exchange asks one server after the other: the next one when one fails, or is slow, while the
// slow one may still answer. It gives the first answer, with the id of the query, else the
// last refusal, else nil.
func (f *Forwarder) exchange(ctx context.Context, list []server, g *grudges, dial dialer, msg []byte, question int, network string) []byte {
	g.sort(list, f.now())
	ctx, cancel := context.WithTimeout(ctx, f.patience)
	defer cancel()
	replies := make(chan []byte, len(list))
	next, waiting := 0, 0
	begin := func() {
		s := list[next]
		next++
		waiting++
		go func() {
			r, err := ask(ctx, s, dial, msg, question, network)
			if err == nil {
				g.note(s.addr, time.Time{})
			}
			replies <- r
		}()
	}
	var refusal []byte
	slow := time.NewTimer(f.hedge)
	defer slow.Stop()
	for next < len(list) || waiting > 0 {
		if waiting == 0 {
			begin()
			slow.Reset(f.hedge)
		}
		select {
		case r := <-replies:
			waiting--
			if r != nil && !refused(r) {
				return withID(r, msg)
			}
			if r != nil {
				refusal = r
			}
			if next < len(list) {
				begin()
				slow.Reset(f.hedge)
			}
		case <-slow.C:
			g.note(list[next-1].addr, f.now().Add(grudge))
			if next < len(list) {
				begin()
				slow.Reset(f.hedge)
			}
		case <-ctx.Done():
			return withID(refusal, msg)
		}
	}
	return withID(refusal, msg)
}

// refused tells whether a server has not done what it was asked for.
func refused(r []byte) bool {
	code := r[3] & 15
	return code == codeFailure || code == codeRefused || code == codeNotImpl || code == codeFormat
}

func withID(r, msg []byte) []byte {
	if r != nil {
		copy(r, msg[:2])
	}
	return r
}

// ask asks one server.
func ask(ctx context.Context, s server, dial dialer, msg []byte, question int, network string) ([]byte, error) {
	deadline, _ := ctx.Deadline()
	conn, err := dial(s, network, deadline)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	// An id that the container can not foretell, from a port that is new for each question.
	var id [2]byte
	rand.Read(id[:])
	out := slices.Concat([]byte{byte(len(msg) >> 8), byte(len(msg))}, id[:], msg[2:])
	if network == "tcp" {
		if _, err := conn.Write(out); err != nil {
			return nil, err
		}
		reply, err := readTCP(conn, 65535)
		if err == nil && !answers(reply, msg[:question], binary.BigEndian.Uint16(id[:])) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		return reply, nil
	}
	if _, err := conn.Write(out[2:]); err != nil {
		return nil, err
	}
	b := make([]byte, 65535)
	for {
		n, err := conn.Read(b)
		if err != nil {
			return nil, err
		}
		if answers(b[:n], msg[:question], binary.BigEndian.Uint16(id[:])) {
			return bytes.Clone(b[:n]), nil
		}
	}
}

// readTCP reads a message with its length before it.
func readTCP(r io.Reader, most int) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n > most {
		return nil, io.ErrShortBuffer
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

// fit makes a reply of others as short as its asker can take.
func fit(r []byte, q *query) []byte {
	if len(r) <= q.limitBytes {
		return r
	}
	cut := begin(nil, q)
	cut.full = true
	return cut.done(int(r[3] & 15))
}
