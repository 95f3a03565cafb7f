package firewall

import (
	"errors"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// settle is how long a firewall's reload may go on before we look at what it left.
const settle = 100 * time.Millisecond

// Watch heals the table whenever somebody has removed tables, chains or rules, until the
// Table is closed. told hears of each time.
func (t *Table) Watch(told func(healed bool, err error)) error {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err == nil {
		if err = conn.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
			conn.Close()
		}
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.watched = conn
	t.mu.Unlock()
	go func() {
		for {
			messages, err := conn.Receive()
			if err != nil && !errors.Is(err, unix.ENOBUFS) {
				return // closed; with ENOBUFS there were more events than the socket holds
			}
			if err == nil && !removes(messages) {
				continue
			}
			time.Sleep(settle)
			if healed, err := t.Heal(); healed || err != nil {
				told(healed, err)
			}
		}
	}()
	return nil
}

// removes tells whether a table, a chain or a rule is among what has gone. Elements of sets
// come and go all the time.
func removes(messages []netlink.Message) bool {
	for _, m := range messages {
		if uint16(m.Header.Type)>>8 != unix.NFNL_SUBSYS_NFTABLES {
			continue
		}
		switch uint16(m.Header.Type) & 0xff {
		case unix.NFT_MSG_DELTABLE, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_DELRULE:
			return true
		}
	}
	return false
}
