package bridge

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// repair makes a bridge again that somebody has removed, and puts on it who was there. It tells
// whether there was something to repair.
func (d *Driver) repair(nw *network) bool {
	d.mu.Lock()
	defer d.mu.Unlock() // one repair at a time
	if link, err := d.links.LinkByName(nw.name); err == nil {
		if link.Attrs().Index == nw.index {
			return false
		}
		nw.index = link.Attrs().Index // another join has repaired it, or somebody made one of this name
		return true
	}
	if _, err := d.makeBridge(nw); err != nil {
		d.log("network %s: its bridge %s has gone, and can not be made again: %v", nw.Name, nw.name, err)
		return false
	}
	d.log("network %s: its bridge %s had gone; it is there again", nw.Name, nw.name)
	if err := d.reattach(nw); err != nil {
		d.log("network %s: %v", nw.Name, err)
	}
	return true
}

func (d *Driver) indexOf(nw *network) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return nw.index
}

func (d *Driver) log(format string, args ...any) {
	if d.cfg.Log != nil {
		d.cfg.Log.Warnf("bridge networks: "+format, args...)
	}
}

// reattach puts the pairs of endpoints onto their bridge, should it be another one than it was.
func (d *Driver) reattach(nw *network) error {
	var failed []error
	for _, ep := range nw.endpoints {
		link, err := d.links.LinkByName(ep.link)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			continue // it is not joined, or somebody removed the pair: the container has to be started again
		}
		if err == nil && link.Attrs().MasterIndex != nw.index {
			if err = d.links.LinkSetMasterByIndex(link, nw.index); err == nil {
				err = d.setPort(link, nw)
			}
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("put %s onto %s: %w", ep.link, nw.name, err))
		}
	}
	return errors.Join(failed...)
}
