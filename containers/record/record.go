package record

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jobengine/engine/internal/errs"
)

// Format is the version of the format that is written. Older ones are read,
// newer ones are refused.
const Format = 1

// Container is container.json.
type Container struct {
	Format  int
	ID      string
	Name    string
	Created time.Time
	ImageID string
	Path    string
	Args    []string

	Config     *Config
	HostConfig *HostConfig
	Mounts     []MountPoint         `json:",omitempty"`
	Networks   map[string]*Endpoint `json:",omitzero"` // by name or id; empty: connected to nothing any more

	Driver       string
	LogPath      string `json:",omitempty"`
	RestartCount int    `json:",omitempty"`
	Runs         int    `json:",omitempty"`
	ManualStop   bool   `json:",omitempty"`
	Removing     bool   `json:",omitempty"` // rm has begun: finish it

	State State
}

// State is what was known last of the container's process. Whether it really
// lives is for the supervisor to say.
type State struct {
	Running    bool      `json:",omitempty"`
	Paused     bool      `json:",omitempty"`
	Thaw       bool      `json:",omitempty"` // a pause is being made or ended, or is a commit's: the next engine ends it
	OOMKilled  bool      `json:",omitempty"`
	OOMKills   uint64    `json:",omitempty"`
	Dead       bool      `json:",omitempty"`
	Pid        int       `json:",omitempty"`
	StartTime  uint64    `json:",omitempty"` // of Pid, in /proc/PID/stat
	ExitCode   int       `json:",omitempty"`
	Error      string    `json:",omitempty"`
	StartedAt  time.Time `json:",omitzero"`
	FinishedAt time.Time `json:",omitzero"`
}

// Check tells whether what was read is a whole record of container id.
func (c *Container) Check(id string) error {
	switch {
	case c.Format > Format:
		return errs.DataLoss("container.json has format %d; this engine knows up to %d", c.Format, Format)
	case c.Format < 1:
		return errs.DataLoss("container.json has no format")
	case c.ID != id:
		return errs.DataLoss("container.json is of container %q", c.ID)
	case c.Name == "", c.Config == nil, c.HostConfig == nil, c.ImageID == "":
		return errs.DataLoss("container.json lacks fields")
	}
	return nil
}

// Convert turns a type of the API into the one of the record with the same
// fields, or back.
func Convert(from, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("%T to %T: %w", from, to, err)
	}
	return nil
}
