package spec

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/internal/errs"
)

// DefaultShmSize is the size of /dev/shm in bytes.
const DefaultShmSize = 64 << 20

// mounts are the kernel's file systems first, then the user's from the
// shallowest to the deepest. What the user mounts takes the place of a default.
func (in *Input) mounts() ([]specs.Mount, error) {
	var own []specs.Mount
	for _, b := range in.Binds {
		own = append(own, in.bind(b))
	}
	if !in.IDs.IsZero() {
		// No device can be made in a user namespace: they are bound, each from where the host has it.
		for _, d := range in.Devices {
			own = append(own, specs.Mount{Destination: d.Path, Source: d.Source, Type: "bind", Options: []string{"bind", "nosuid", "noexec", "rprivate"}})
		}
	}
	for _, target := range slices.Sorted(maps.Keys(in.Tmpfs)) {
		m, err := tmpfs(target, in.Tmpfs[target])
		if err != nil {
			return nil, err
		}
		own = append(own, m)
	}
	slices.SortStableFunc(own, func(a, b specs.Mount) int {
		return cmp.Compare(depth(a.Destination), depth(b.Destination))
	})
	kernel, err := in.kernelMounts()
	if err != nil {
		return nil, err
	}
	all := slices.DeleteFunc(kernel, func(m specs.Mount) bool {
		return slices.ContainsFunc(own, func(o specs.Mount) bool {
			// A /dev of the user's has what it has.
			return o.Destination == m.Destination || o.Destination == "/dev" && strings.HasPrefix(m.Destination, "/dev/")
		})
	})
	return append(all, own...), nil
}

func depth(p string) int { return strings.Count(path.Clean(p), "/") }

func (in *Input) kernelMounts() ([]specs.Mount, error) {
	hc := in.HostConfig
	sys, cgroup := "ro", "ro"
	if hc.Privileged {
		sys = "rw"
	}
	if writable, err := in.writableCgroups(); err != nil {
		return nil, err
	} else if writable {
		cgroup = "rw"
	}
	mounts := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "noexec", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts",
			Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", sys}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{cgroup, "nosuid", "noexec", "nodev"}},
	}
	switch {
	case !in.Host.Mqueue:
	case hc.IpcMode.IsHost() && !in.IDs.IsZero():
		// The host's cannot be mounted from within a user namespace; it can be bound, if it is mounted at all.
		if in.Host.MqueueMounted {
			mounts = append(mounts, specs.Mount{Destination: "/dev/mqueue", Type: "bind", Source: "/dev/mqueue",
				Options: []string{"bind", "nosuid", "noexec", "nodev"}})
		}
	default:
		// In the host's ipc namespace this is the host's, also where the host has not mounted it.
		mounts = append(mounts, specs.Mount{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue",
			Options: []string{"nosuid", "noexec", "nodev"}})
	}
	if in.Init != "" {
		// Before the user's, as with docker: what is mounted over /sbin hides it and is not written to.
		mounts = append(mounts, specs.Mount{Destination: InitPath, Type: "bind", Source: in.Init, Options: []string{"bind", "ro", "nosuid", "nodev"}})
	}
	shm := in.Join.Shm
	if hc.IpcMode.IsHost() {
		shm = "/dev/shm"
	}
	if shm != "" {
		return append(mounts,
			specs.Mount{Destination: "/dev/shm", Type: "bind", Source: shm, Options: []string{"rbind", "nosuid", "noexec", "nodev"}}), nil
	}
	if hc.IpcMode.IsNone() {
		return mounts, nil
	}
	size := hc.ShmSize
	if size == 0 {
		size = DefaultShmSize
	}
	return append(mounts, specs.Mount{Destination: "/dev/shm", Type: "tmpfs", Source: "shm",
		Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=" + strconv.FormatInt(size, 10)}}), nil
}

func (in *Input) bind(b Bind) specs.Mount {
	m := specs.Mount{Destination: b.Destination, Source: b.Source, Type: "bind", Options: []string{"rbind"}}
	if b.NonRecursive {
		m.Options[0] = "bind"
	}
	if b.ReadOnly {
		m.Options = append(m.Options, "ro")
	}
	propagation := b.Propagation
	if propagation == "" {
		propagation = "rprivate"
	}
	m.Options = append(m.Options, propagation)
	if b.Mapped && !in.IDs.IsZero() {
		m.Options = append(m.Options, "ridmap")
		m.UIDMappings, m.GIDMappings = idMappings(in.IDs.UIDs), idMappings(in.IDs.GIDs)
	}
	return m
}

// tmpfs is a mount of HostConfig.Tmpfs: "size=64m,mode=1777,exec".
func tmpfs(target, options string) (specs.Mount, error) {
	m := specs.Mount{Destination: target, Type: "tmpfs", Source: "tmpfs"}
	opts, err := TmpfsOptions(options)
	m.Options = opts
	return m, err
}

// TmpfsOptions are the user's on top of docker's defaults. Unknown ones are of
// the class invalid.
func TmpfsOptions(text string) ([]string, error) {
	opposite := map[string]string{
		"exec": "noexec", "noexec": "exec", "suid": "nosuid", "nosuid": "suid", "dev": "nodev", "nodev": "dev",
		"rw": "ro", "ro": "rw",
	}
	flags := []string{"noexec", "nosuid", "nodev"}
	var values, bad []string
	for _, o := range strings.Split(text, ",") {
		key, value, hasValue := strings.Cut(o, "=")
		switch {
		case o == "":
		case hasValue:
			if !slices.Contains([]string{"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"}, key) || value == "" {
				bad = append(bad, o)
			}
			values = append(values, o)
		case opposite[o] != "":
			flags = slices.DeleteFunc(flags, func(f string) bool { return f == opposite[o] || f == o })
			flags = append(flags, o)
		case slices.Contains([]string{"atime", "noatime", "relatime", "norelatime", "strictatime", "nostrictatime", "sync", "async",
			"diratime", "nodiratime", "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"}, o):
			flags = append(flags, o)
		default:
			bad = append(bad, o)
		}
	}
	if len(bad) > 0 {
		return nil, errs.Invalid("invalid tmpfs option %s", quoted(bad))
	}
	return append(flags, values...), nil
}

func quoted(list []string) string { return fmt.Sprintf("%q", list) }
