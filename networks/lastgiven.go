package networks

import (
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/jobengine/engine/internal/durable"
)

// An address that was just given back is not given again at once, since others may still take it for its former
// owner's; also not after a restart of the daemon. So the last ones of a network are in a file: of the exec root while the
// daemon runs, where a write costs nothing, and of the data root after a clean stop.

const lastGiven = ".last" // after a network's id

func (n *Networks) lastGivenPath(id string) string { return filepath.Join(n.cfg.RunDir, id+lastGiven) }
func (n *Networks) keptGivenPath(id string) string { return filepath.Join(n.cfg.Dir, id+lastGiven) }

// noteGiven writes down where a network goes on. What fails costs an address that is given again early.
func (n *Networks) noteGiven(nw *Network) { n.writeGiven(nw, n.lastGivenPath(nw.ID)) }

func (n *Networks) writeGiven(nw *Network, path string) {
	var text strings.Builder
	nw.noting.Lock()
	defer nw.noting.Unlock()
	for _, space := range nw.spaces {
		if last := space.Last(); last.IsValid() {
			text.WriteString(last.String() + "\n")
		}
	}
	if text.Len() == 0 {
		return
	}
	if err := durable.WriteFileUnsynced(n.cfg.FS, path, []byte(text.String()), 0o600); err != nil {
		n.cfg.Log.Debugf("network %s: its last address: %v", nw.Name, err)
	}
}

// keepGiven is for a clean stop.
func (n *Networks) keepGiven() {
	for _, nw := range n.all() {
		n.writeGiven(nw, n.keptGivenPath(nw.ID))
		_ = n.cfg.FS.Remove(n.lastGivenPath(nw.ID))
	}
}

// forgetGiven is for a network that is removed. What stays is small, and nobody's.
func (n *Networks) forgetGiven(id string) {
	_ = n.cfg.FS.Remove(n.lastGivenPath(id))
	_ = n.cfg.FS.Remove(n.keptGivenPath(id))
}

// goOn lets networks go on where an earlier daemon was.
func (n *Networks) goOn() {
	for _, nw := range n.byID {
		text, err := durable.Read(n.cfg.FS, n.lastGivenPath(nw.ID))
		if err != nil { // it was not killed
			text, err = durable.Read(n.cfg.FS, n.keptGivenPath(nw.ID))
		}
		if err != nil {
			continue
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
}
