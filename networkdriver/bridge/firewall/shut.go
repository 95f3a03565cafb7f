package firewall

import (
	"bytes"
	"slices"
)

// Shut keeps a host from becoming a router between interfaces that it had when we switched forwarding
// on, for one version of IP: it was none before, and its neighbours may rely on that.
func Shut(name string, v6 bool) Element {
	set := "shut4"
	if v6 {
		set = "shut6"
	}
	return Element{set: set, key: ifname(name)}
}

// AddShut puts interfaces into the table, for as long as there is one.
func (t *Table) AddShut(elements []Element) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.addShut(elements)
}

func (t *Table) addShut(elements []Element) error {
	added := slices.DeleteFunc(elements, func(e Element) bool { return slices.Contains(t.shut, e) })
	t.shut = append(t.shut, added...)
	if !t.made || t.closed || len(added) == 0 {
		return nil // it will be made with them
	}
	if err := t.queue(added, t.conn.SetAddElements); err != nil {
		return err
	}
	return t.flush()
}

// AdoptShut takes over what a former process has shut.
func (t *Table) AdoptShut() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	var all []Element
	for _, name := range []string{"shut4", "shut6"} {
		have, err := t.conn.GetSetElements(t.byName[name])
		if err != nil {
			continue // there is no table, or one of a former version
		}
		for _, e := range have {
			all = append(all, Shut(string(bytes.TrimRight(e.Key, "\x00")), name == "shut6"))
		}
	}
	return t.addShut(all)
}
