package networks

import (
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/jobengine/engine/internal/durable"
)

// An address that was just given back is not given again at once, since others may still take it for its former
// owner's; also not after a restart of the daemon. So the last one of each subnet is in a file of the exec root.

const lastGiven = ".last" // after a network's id

func (n *Networks) lastGivenPath(id string) string { return filepath.Join(n.cfg.RunDir, id+lastGiven) }

// noteGiven writes down where a network goes on. What fails costs an address that is given again early.
func (n *Networks) noteGiven(nw *Network) {
	var text strings.Builder
	nw.noting.Lock()
	defer nw.noting.Unlock()
	for _, space := range nw.spaces {
		if last := space.Last(); last.IsValid() {
			text.WriteString(last.String() + "\n")
		}
	}
	if err := durable.WriteFileUnsynced(n.cfg.FS, n.lastGivenPath(nw.ID), []byte(text.String()), 0o600); err != nil {
		n.cfg.Log.Debugf("network %s: its last address: %v", nw.Name, err)
	}
}

// goOn lets a network go on where an earlier daemon was.
func (n *Networks) goOn(nw *Network) {
	text, err := durable.Read(n.cfg.FS, n.lastGivenPath(nw.ID))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		last, err := netip.ParseAddr(strings.TrimSpace(line))
		for _, space := range nw.spaces {
			if err == nil {
				space.GoOn(last)
			}
		}
	}
}
