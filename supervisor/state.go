package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jobengine/engine/supervisor/protocol"
)

// state is what the next supervisor must know of a container. It lies in the
// exec root, which ends with the containers, so nothing is synced to disk.
type state struct {
	Version     int
	Create      protocol.Create
	Process     protocol.Process
	StartOp     string `json:",omitempty"`
	Started     bool   `json:",omitempty"`
	Paused      bool   `json:",omitempty"`
	StdinClosed bool   `json:",omitempty"`
	// StdinInode names the pipe of stdin; 0: it is the FIFO "stdin", or there is none.
	StdinInode uint64 `json:",omitempty"`
}

const stateVersion = 1

var errDamaged = errors.New("the file is damaged")

func (s state) save(dir string) error {
	s.Version = stateVersion
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, "state.json"), text, false)
}

func loadState(dir string) (state, error) {
	var s state
	text, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s/state.json: %w: %w", dir, errDamaged, err)
	}
	if s.Version > stateVersion {
		return s, fmt.Errorf("%s/state.json: version %d is newer than this program", dir, s.Version)
	}
	return s, nil
}

// replaceFile makes path hold text, or leaves it as it was. With durable the new
// content outlives a power cut.
func replaceFile(path string, text []byte, durable bool) (err error) {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil && durable {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
		return err
	}
	if durable {
		return syncDir(filepath.Dir(path))
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
