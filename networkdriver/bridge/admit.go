package bridge

// admit sees to it that the filters of other programs let our packets through while there are
// networks. A failure costs connections and no network: it is logged.
func (d *Driver) admit() {
	d.mu.Lock()
	wanted := len(d.networks) > 0
	d.mu.Unlock()
	if err := d.other.Want(wanted); err != nil {
		d.admitted(nil, nil, err)
	}
}

// admitted is told what was done to the filters of others.
func (d *Driver) admitted(added, early []string, err error) {
	if d.cfg.Log == nil {
		return
	}
	for _, chain := range added {
		d.cfg.Log.Infof("bridge networks: %s drops what nobody accepts; it has a rule now that lets the packets of containers through", chain)
	}
	for _, chain := range early {
		d.cfg.Log.Warnf("bridge networks: the chain %s drops forwarded packets before ours sees them: containers reach nothing outside of their network until it accepts them", chain)
	}
	if err != nil {
		d.cfg.Log.Errorf("bridge networks: the firewall of another program may drop the packets of containers: %v", err)
	}
}
