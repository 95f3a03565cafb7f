package execs

import (
	"os"
	"path/filepath"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/internal/durable"
)

// record is what the next daemon must know of an exec. It lies in the exec root
// beside the container's run, and goes with it, so nothing is synced.
type record struct {
	Version    int
	ID         string
	Number     int
	Cmd        []string
	User       string   `json:",omitempty"`
	WorkingDir string   `json:",omitempty"`
	Env        []string `json:",omitempty"`
	Tty        bool     `json:",omitempty"`
	Privileged bool     `json:",omitempty"`
	Attached   [3]bool  // stdin, stdout, stderr
	DetachKeys string   `json:",omitempty"`
	Size       *[2]uint `json:",omitempty"` // rows and columns of the terminal
	Begun      bool     `json:",omitempty"` // its start was asked for
	ExitCode   *int     `json:",omitempty"`
	EndedAt    time.Time
}

const recordVersion = 1

// record describes e; its lock is held.
func (e *execution) record() record {
	q := e.request
	return record{
		Version: recordVersion, ID: e.id, Number: e.number, Cmd: q.Cmd, User: q.User, WorkingDir: q.WorkingDir, Env: q.Env,
		Tty: q.Tty, Privileged: q.Privileged, Attached: [3]bool{q.AttachStdin, q.AttachStdout, q.AttachStderr},
		DetachKeys: q.DetachKeys, Size: q.ConsoleSize, Begun: e.begun, ExitCode: e.exitCode, EndedAt: e.endedAt,
	}
}

func (r record) request() container.ExecCreateRequest {
	return container.ExecCreateRequest{
		Cmd: r.Cmd, User: r.User, WorkingDir: r.WorkingDir, Env: r.Env, Tty: r.Tty, Privileged: r.Privileged,
		AttachStdin: r.Attached[0], AttachStdout: r.Attached[1], AttachStderr: r.Attached[2],
		DetachKeys: r.DetachKeys, ConsoleSize: r.Size,
	}
}

func (x *Execs) recordDir(containerID string) string {
	return filepath.Join(x.ExecRoot, "containers", containerID, "requests")
}

func (x *Execs) recordPath(e *execution) string {
	return filepath.Join(x.recordDir(e.ct.ID()), e.id+".json")
}

// save writes the record of e. Without one the exec works all the same, only
// the next daemon will not know of it.
func (x *Execs) save(e *execution) {
	e.saving.Lock()
	defer e.saving.Unlock()
	e.mu.Lock()
	r, forgotten := e.record(), e.forgotten
	e.mu.Unlock()
	if forgotten {
		return
	}
	path := x.recordPath(e)
	err := durable.WriteJSONUnsynced(durable.OS, path, r, 0o600)
	if os.IsNotExist(err) {
		// The first exec makes the folder; when the container's own is gone, so is the need.
		if err = os.Mkdir(filepath.Dir(path), 0o700); err == nil || os.IsExist(err) {
			err = durable.WriteJSONUnsynced(durable.OS, path, r, 0o600)
		}
	}
	if err != nil && !os.IsNotExist(err) {
		x.Log.Warnf("container %s: exec %s will be unknown to the next daemon: %v", e.ct.ID(), e.id, err)
	}
}

// unsave removes the record of an exec that is forgotten.
func (x *Execs) unsave(e *execution) {
	e.saving.Lock()
	defer e.saving.Unlock()
	e.mu.Lock()
	e.forgotten = true
	e.mu.Unlock()
	_ = os.Remove(x.recordPath(e))
}
