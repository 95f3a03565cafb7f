package firewall

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Table is the driver's table in the kernel, with the elements that should be in it.
type Table struct {
	nft *nftables.Table

	mu     sync.Mutex
	conn   *nftables.Conn
	byName map[string]*nftables.Set
	owners map[string][]Element
	always []Element // as long as there are owners
	shut   []Element // of interfaces, as long as there are owners
	made   bool

	watched *netlink.Conn // nil without Watch
	closed  bool          // a closed connection would open another one, wherever the thread is
}

// New makes a Table; the kernel's is made with the first element. name tells
// engines on one host apart.
func New(name string) (*Table, error) {
	// A transaction is one send: a range of thousands of ports that are renumbered takes a megabyte.
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return errors.Join(c.SetWriteBuffer(16<<20), c.SetReadBuffer(16<<20))
	}))
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	t := &Table{
		nft:  &nftables.Table{Name: name, Family: nftables.TableFamilyINet},
		conn: conn, owners: map[string][]Element{}, byName: map[string]*nftables.Set{},
	}
	for _, s := range t.sets() {
		t.byName[s.Name] = s
	}
	return t, nil
}

// Close ends the connection to the kernel; the table stays.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	var err error
	if t.watched != nil {
		err = t.watched.Close()
	}
	return errors.Join(err, t.conn.CloseLasting())
}

// Set replaces the elements of an owner, in one transaction. After an error
// they are as before.
func (t *Table) Set(owner string, elements []Element) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return net.ErrClosed
	}
	before := t.owners[owner]
	t.own(owner, elements)
	if len(t.owners) == 0 {
		if t.made {
			t.made = false
			return t.delete()
		}
		return nil
	}
	err := t.change(before, elements)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EEXIST) {
		// Somebody changed the table: it is made again, from what should be in it.
		err = t.rebuild()
	}
	if err != nil {
		t.own(owner, before)
	}
	return err
}

// Always sets what is in the table whenever it is there. After an error it is as before.
func (t *Table) Always(elements []Element) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return net.ErrClosed
	}
	before := t.always
	t.always = elements
	if !t.made {
		return nil
	}
	err := t.change(before, elements)
	if err != nil {
		t.always = before
	}
	return err
}

// Replace sets the elements of all owners at once.
func (t *Table) Replace(owners map[string][]Element) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.owners
	t.owners = owners
	err := t.rebuild()
	if err != nil {
		t.owners = before
	}
	return err
}

// Heal makes the table again if it is not there any more, or was emptied.
func (t *Table) Heal() (healed bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || !t.made || t.whole() {
		return false, nil
	}
	return true, t.rebuild()
}

// Delete removes the table from the kernel.
func (t *Table) Delete() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owners, t.made = map[string][]Element{}, false
	return t.delete()
}

// DeleteStale removes the kernel's table if it is there, and has not been made by this process.
func (t *Table) DeleteStale() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.made {
		return nil
	}
	if have, err := t.conn.ListTableOfFamily(t.nft.Name, t.nft.Family); err != nil || have == nil {
		return nil // it is not there, or there is no nftables
	}
	return t.delete()
}

func (t *Table) delete() error {
	t.conn.AddTable(t.nft) // deleting one that is absent would be an error
	t.conn.DelTable(t.nft)
	return t.flush()
}

func (t *Table) own(owner string, elements []Element) {
	if len(elements) == 0 {
		delete(t.owners, owner)
	} else {
		t.owners[owner] = elements
	}
}

func (t *Table) change(before, now []Element) error {
	if !t.made {
		return t.rebuild()
	}
	gone := slices.DeleteFunc(slices.Clone(before), func(e Element) bool { return slices.Contains(now, e) })
	added := slices.DeleteFunc(slices.Clone(now), func(e Element) bool { return slices.Contains(before, e) })
	if len(gone)+len(added) == 0 {
		return nil
	}
	if err := t.queue(gone, t.conn.SetDeleteElements); err != nil {
		return err
	}
	if err := t.queue(added, t.conn.SetAddElements); err != nil {
		return err
	}
	return t.flush()
}

// chunk elements go into one message: netlink's attributes have 64 KiB at most.
const chunk = 256

func (t *Table) queue(elements []Element, send func(*nftables.Set, []nftables.SetElement) error) error {
	bySet := map[string][]nftables.SetElement{}
	for _, e := range elements {
		bySet[e.set] = append(bySet[e.set], e.nft(t.byName[e.set])...)
	}
	for name, list := range bySet {
		for part := range slices.Chunk(list, chunk) {
			if err := send(t.byName[name], part); err != nil {
				return fmt.Errorf("nftables: set %s: %w", name, err)
			}
		}
	}
	return nil
}

// nft gives an element as the kernel wants it: an interval of one address as two
// elements, of a concatenation as one with two keys.
func (e Element) nft(s *nftables.Set) []nftables.SetElement {
	one := nftables.SetElement{Key: []byte(e.key)}
	if s.IsMap {
		one.Val = []byte(e.val)
	}
	switch {
	case !s.Interval:
		return []nftables.SetElement{one}
	case s.Concatenation:
		one.KeyEnd = []byte(e.end)
		return []nftables.SetElement{one}
	}
	after := []byte(e.end) // the first that is not in it any more
	for i := len(after) - 1; i >= 0; i-- {
		if after[i]++; after[i] != 0 {
			break
		}
	}
	return []nftables.SetElement{one, {Key: after, IntervalEnd: true}}
}

// rebuild makes the table anew with all elements, in one transaction.
func (t *Table) rebuild() error {
	t.conn.AddTable(t.nft)
	t.conn.DelTable(t.nft)
	t.conn.AddTable(t.nft)
	for _, s := range t.sets() {
		t.byName[s.Name] = s
		if err := t.conn.AddSet(s, nil); err != nil {
			return fmt.Errorf("nftables: set %s: %w", s.Name, err)
		}
	}
	var all []Element
	for _, elements := range t.owners {
		all = append(all, elements...)
	}
	all = append(append(all, t.always...), t.shut...)
	if err := t.queue(all, t.conn.SetAddElements); err != nil {
		return err
	}
	made := map[string]*nftables.Chain{}
	for _, c := range chains() {
		chain := &nftables.Chain{Name: c.name, Table: t.nft}
		if c.kind != "" {
			accept := nftables.ChainPolicyAccept
			chain.Type, chain.Hooknum, chain.Priority, chain.Policy = c.kind, c.hook, nftables.ChainPriorityRef(nftables.ChainPriority(c.prio)), &accept
		}
		made[c.name] = t.conn.AddChain(chain)
	}
	for _, c := range chains() {
		for _, exprs := range c.rules {
			t.conn.AddRule(&nftables.Rule{Table: t.nft, Chain: made[c.name], Exprs: exprs})
		}
	}
	if err := t.flush(); err != nil {
		t.made = false
		return err
	}
	t.made = true
	return nil
}

func (t *Table) flush() error {
	if err := t.conn.Flush(); err != nil {
		return fmt.Errorf("nftables: table %s: %w", t.nft.Name, err)
	}
	return nil
}

// whole tells whether the kernel's table has all our chains with all their rules, and the bridges.
func (t *Table) whole() bool {
	for _, c := range chains() {
		rules, err := t.conn.GetRules(t.nft, &nftables.Chain{Name: c.name, Table: t.nft})
		if err != nil || len(rules) != len(c.rules) {
			return false
		}
	}
	want := map[string]int{}
	for _, elements := range t.owners {
		for _, e := range elements {
			want[e.set]++
		}
	}
	for _, name := range []string{"bridges", "guarded4", "guarded6"} {
		have, err := t.conn.GetSetElements(t.byName[name])
		starts := 0
		for _, e := range have {
			if !e.IntervalEnd {
				starts++
			}
		}
		if err != nil || starts != want[name] {
			return false
		}
	}
	return true
}
