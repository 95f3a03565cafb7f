package foreign

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Config of the Filters.
type Config struct {
	Own      string // the name of our table, which is none of a foreigner, and of our rules
	Mark     uint32 // of the packets that are to be let through
	Priority int32  // of our chain, which sets the mark
	// Told hears of chains that got our rule, of chains that drop before our mark is set, and of
	// errors. It may be nil.
	Told func(added, early []string, err error)
}

// comment tells our rules from those of other engines.
func (c Config) comment() string { return c.Own + ":let-through" }

// Filters are the chains of other programs in one network namespace, that in which the
// Filters were made.
type Filters struct {
	cfg       Config
	namespace *os.File
	events    *netlink.Conn
	ended     chan struct{}
	gone      sync.WaitGroup

	mu     sync.Mutex
	conn   *nftables.Conn
	raw    *netlink.Conn
	old    []*legacy
	wanted bool
	closed bool
	warned map[string]bool
}

// Intervals of looking.
const (
	settle = 100 * time.Millisecond // for the rest of a reload to come
	look   = 5 * time.Second        // at the old tables, of whose changes the kernel tells nobody
)

// New makes Filters and watches the host's; nothing is changed before Want.
func New(cfg Config) (*Filters, error) {
	f := &Filters{cfg: cfg, old: legacies(), ended: make(chan struct{}), warned: map[string]bool{}}
	var err error
	if f.namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return nil, err
	}
	if f.conn, err = nftables.New(nftables.AsLasting()); err == nil {
		if f.raw, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err == nil {
			if f.events, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err == nil {
				err = f.events.JoinGroup(unix.NFNLGRP_NFTABLES)
			}
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("nftables: %w", err), f.hangUp())
	}
	changed := make(chan struct{}, 1)
	f.gone.Add(2)
	go f.listen(changed)
	go f.keep(changed)
	return f, nil
}

func (f *Filters) hangUp() error {
	var failed []error
	if f.events != nil {
		failed = append(failed, f.events.Close())
	}
	if f.raw != nil {
		failed = append(failed, f.raw.Close())
	}
	if f.conn != nil {
		failed = append(failed, f.conn.CloseLasting())
	}
	return errors.Join(append(failed, f.namespace.Close())...)
}

// Close ends the watch; our rules stay.
func (f *Filters) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.closed = true
	close(f.ended)
	f.mu.Unlock()
	_ = f.events.SetReadDeadline(time.Unix(1, 0)) // wakes the listener up
	f.gone.Wait()
	return f.hangUp()
}

// Want says whether there are networks whose packets are to be let through. What is
// missing is added, or ours removed, before it returns.
func (f *Filters) Want(wanted bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.wanted == wanted {
		return nil
	}
	f.wanted = wanted
	for _, l := range f.old {
		l.seen = 0 // what was seen was judged by another wish
	}
	return f.admit()
}

// Clean removes our rules, whoever made them.
func (f *Filters) Clean() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.wanted = false
	return f.admit()
}

// admit is called with the lock.
func (f *Filters) admit() error {
	var added, early []string
	var err error
	for range 10 {
		added, early, err = f.admitNFT(f.wanted)
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EBUSY) {
			break // else a chain or a rule has gone meanwhile
		}
	}
	old, e := f.admitLegacy(f.wanted)
	err = errors.Join(err, e)
	var unknown []string
	for _, chain := range early {
		if f.wanted && !f.warned[chain] {
			f.warned[chain] = true
			unknown = append(unknown, chain)
		}
	}
	added = append(added, old...)
	if f.cfg.Told != nil && len(added)+len(unknown) > 0 {
		f.cfg.Told(added, unknown, nil)
	}
	return err
}

// listen waits for changes of tables, chains and rules.
func (f *Filters) listen(changed chan<- struct{}) {
	defer f.gone.Done()
	for {
		messages, err := f.events.Receive()
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return // closed
		}
		if err != nil || touches(messages) {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}
}

// touches tells whether a chain or a rule came or went.
func touches(messages []netlink.Message) bool {
	for _, m := range messages {
		if uint16(m.Header.Type)>>8 != unix.NFNL_SUBSYS_NFTABLES {
			continue
		}
		switch uint16(m.Header.Type) & 0xff {
		case unix.NFT_MSG_NEWCHAIN, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_NEWRULE, unix.NFT_MSG_DELRULE:
			return true
		}
	}
	return false
}

// keep looks again whenever something has changed, and after an error, which it tells of once: the
// change that it came from may have been the last one.
func (f *Filters) keep(changed <-chan struct{}) {
	defer f.gone.Done()
	tick := time.NewTicker(look)
	defer tick.Stop()
	failed := false
	for {
		old := false
		select {
		case <-f.ended:
			return
		case <-tick.C:
			old = true
		case <-changed:
			select {
			case <-f.ended:
				return
			case <-time.After(settle):
			}
		}
		f.mu.Lock()
		if f.wanted && !f.closed && (!old || failed || f.legacyChanged()) {
			err := f.admit()
			if err != nil && !failed && f.cfg.Told != nil {
				f.cfg.Told(nil, nil, err)
			}
			failed = err != nil
		}
		f.mu.Unlock()
	}
}
