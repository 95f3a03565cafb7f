package supervisor

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/internal/pidfd"
	"github.com/jobengine/engine/supervisor/protocol"
)

// execState is what the next supervisor must know of an exec. Its file lives from
// the start of the process until a daemon has acknowledged the exit.
type execState struct {
	Op      string
	Process protocol.Process
	Exit    *protocol.Exit `json:",omitempty"`
}

func execPath(containerDir, id string) string {
	return filepath.Join(containerDir, "execs", id+".json")
}

func (c *container) saveExec(id string, x execState) {
	path := execPath(c.dir, id)
	text, err := json.Marshal(x)
	if err == nil {
		err = replaceFile(path, text, false)
	}
	if errors.Is(err, os.ErrNotExist) {
		// The first exec makes the folder; when the container's own is gone, so is the need.
		if err = os.Mkdir(filepath.Dir(path), 0o700); err == nil || errors.Is(err, os.ErrExist) {
			err = replaceFile(path, text, false)
		}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		logrus.Errorf("container %s: remember exec %s: %v", c.id, id, err)
	}
}

// adoptExecs takes over the execs of a dead supervisor.
func (s *supervisor) adoptExecs(c *container, in inherited) {
	entries, _ := os.ReadDir(filepath.Join(c.dir, "execs"))
	defer func() { inherited{Execs: in.Execs}.close() }() // what nothing is known of
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !validID(id) {
			continue
		}
		var st execState
		text, err := os.ReadFile(execPath(c.dir, id))
		if err == nil {
			err = json.Unmarshal(text, &st)
		}
		if err != nil {
			logrus.Errorf("container %s: exec %s cannot be taken over: %v", c.id, id, err)
			continue
		}
		if st.Exit == nil {
			from := in.Execs[id]
			delete(in.Execs, id)
			f := inheritedAs(from.PidFD, "pidfd")
			if f == nil {
				f, err = pidfd.Open(pidfd.Process(st.Process))
			}
			if err == nil {
				x := &execution{op: st.Op, process: st.Process, pidfd: f}
				for _, file := range from.Held {
					x.held = append(x.held, held{file.Name, inheritedAs(file.FD, file.Name)})
				}
				c.execs[id] = x
				go s.awaitExec(c, id, x)
				continue
			}
			st.Exit = &protocol.Exit{
				Container: c.id, ExecID: id, Pid: st.Process.Pid, StartTime: st.Process.StartTime, ExitCode: 255, At: time.Now().UTC(),
				Error: "the exit code is unknown: the process ended while no supervisor lived",
			}
			c.saveExec(id, st)
		}
		s.exits.add(*st.Exit)
	}
}
