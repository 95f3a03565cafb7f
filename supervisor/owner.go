package supervisor

import (
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/idmap"
)

// own gives a process's streams to the root of its user namespace, who can then
// give them to the process's user: only so can that one open /dev/stdout again.
// Without a user namespace they are ours, and so the right one's.
func own(stdio execdriver.Stdio, ids idmap.Map) error {
	uid, gid, err := ids.Root()
	if err != nil || uid == 0 && gid == 0 {
		return err
	}
	for _, f := range []*os.File{stdio.Stdin, stdio.Stdout, stdio.Stderr} {
		if f == nil {
			continue
		}
		// Only what was made for the process; a file of somebody else's is his.
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.Mode()&os.ModeNamedPipe != 0 {
			if err := f.Chown(uid, gid); err != nil {
				return err
			}
		}
	}
	return nil
}

// idsOf gives the ids of a container that is to be made.
func idsOf(s *specs.Spec) idmap.Map {
	if s.Linux == nil {
		return idmap.Map{}
	}
	return idmap.Map{UIDs: ranges(s.Linux.UIDMappings), GIDs: ranges(s.Linux.GIDMappings)}
}

func ranges(list []specs.LinuxIDMapping) []idmap.Range {
	var all []idmap.Range
	for _, l := range list {
		all = append(all, idmap.Range{Container: l.ContainerID, Host: l.HostID, Size: l.Size})
	}
	return all
}
