package spec

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/internal/errs"
)

// Device is a device of the host that a container may use.
type Device struct {
	Path         string // in the container
	Source       string // on the host
	Type         string // "c" or "b"
	Major, Minor int64
	Mode         os.FileMode
	UID, GID     uint32
	Access       string // of "rwm"
}

// device is a rule of the device cgroup.
func device(allow bool, kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
	d := specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Access: access}
	if major >= 0 {
		d.Major = ptr(major)
	}
	if minor >= 0 {
		d.Minor = ptr(minor)
	}
	return d
}

// defaultDevices is the list that docker has: nothing, but any node may be made,
// and these opened.
func defaultDevices() []specs.LinuxDeviceCgroup {
	return []specs.LinuxDeviceCgroup{
		device(false, "", -1, -1, "rwm"),
		device(true, "c", -1, -1, "m"),
		device(true, "b", -1, -1, "m"),
		device(true, "c", 1, 3, "rwm"), // null
		device(true, "c", 1, 5, "rwm"), // zero
		device(true, "c", 1, 7, "rwm"), // full
		device(true, "c", 1, 8, "rwm"), // random
		device(true, "c", 1, 9, "rwm"), // urandom
		device(true, "c", 5, 0, "rwm"), // tty
		device(true, "c", 5, 1, "rwm"), // console
		device(true, "c", 5, 2, "rwm"), // ptmx
		device(true, "c", 136, -1, "rwm"),
		device(true, "c", 10, 200, "rwm"), // net/tun, as docker; it needs CAP_NET_ADMIN anyway
	}
}

func (in *Input) deviceRules() ([]specs.LinuxDeviceCgroup, error) {
	if in.HostConfig.Privileged {
		return []specs.LinuxDeviceCgroup{device(true, "a", -1, -1, "rwm")}, nil
	}
	rules := defaultDevices()
	for _, d := range in.Devices {
		rules = append(rules, device(true, d.Type, d.Major, d.Minor, d.Access))
	}
	for _, text := range in.HostConfig.DeviceCgroupRules {
		r, err := ParseDeviceRule(text)
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// ParseDeviceRule reads "c 13:* rwm".
func ParseDeviceRule(text string) (specs.LinuxDeviceCgroup, error) {
	m := regexp.MustCompile(`^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$`).FindStringSubmatch(text)
	if m == nil {
		return specs.LinuxDeviceCgroup{}, errs.Invalid("invalid device cgroup rule format: '%s'", text)
	}
	number := func(s string) (int64, error) {
		if s == "*" {
			return -1, nil
		}
		return strconv.ParseInt(s, 10, 32)
	}
	major, err1 := number(m[2])
	minor, err2 := number(m[3])
	if err1 != nil || err2 != nil {
		return specs.LinuxDeviceCgroup{}, errs.Invalid("invalid device cgroup rule format: '%s': number out of range", text)
	}
	return device(true, m[1], major, minor, m[4]), nil
}

func (in *Input) deviceNodes() []specs.LinuxDevice {
	if !in.IDs.IsZero() {
		return nil // they are mounts
	}
	var nodes []specs.LinuxDevice
	for _, d := range in.Devices {
		nodes = append(nodes, specs.LinuxDevice{
			Path: d.Path, Type: d.Type, Major: d.Major, Minor: d.Minor,
			FileMode: ptr(d.Mode), UID: ptr(d.UID), GID: ptr(d.GID),
		})
	}
	return nodes
}

// HostDevices finds what HostConfig.Devices names: a device, or a folder of them.
func HostDevices(list []container.DeviceMapping) ([]Device, error) {
	var found []Device
	for _, m := range list {
		in, access := m.PathInContainer, m.CgroupPermissions
		if in == "" {
			in = m.PathOnHost
		}
		if access == "" {
			access = "rwm"
		}
		src, err := filepath.EvalSymlinks(m.PathOnHost)
		if err != nil {
			return nil, gathering(m.PathOnHost, err)
		}
		info, err := os.Stat(src)
		if err != nil {
			return nil, gathering(m.PathOnHost, err)
		}
		if !info.IsDir() {
			d, ok := hostDevice(src, in, access)
			if !ok {
				return nil, errs.Invalid("error gathering device information while adding custom device %q: not a device node", m.PathOnHost)
			}
			found = append(found, d)
			continue
		}
		inFolder, err := folderDevices(src, in, access)
		if err != nil {
			return nil, gathering(m.PathOnHost, err)
		}
		if len(inFolder) == 0 {
			return nil, errs.Invalid("error gathering device information while adding custom device %q: not a device node", m.PathOnHost)
		}
		found = append(found, inFolder...)
	}
	return found, nil
}

func gathering(path string, err error) error {
	var pe *fs.PathError
	if asPathError(err, &pe) {
		err = pe.Err
	}
	return errs.Invalid("error gathering device information while adding custom device %q: %w", path, err)
}

// AllDevices are the devices of the host for a privileged container. Terminals
// and what /dev mounts of its own are left out.
func AllDevices() ([]Device, error) { return folderDevices("/dev", "/dev", "rwm") }

func folderDevices(dir, in, access string) ([]Device, error) {
	var found []Device
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) || os.IsPermission(err) {
				return nil
			}
			return err
		}
		rel := strings.TrimPrefix(path, dir)
		if e.IsDir() {
			switch path {
			case "/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue", "/dev/.lxc", "/dev/.lxd-mounts", "/dev/.udev":
				return filepath.SkipDir
			}
			return nil
		}
		if path == "/dev/console" || path == "/dev/ptmx" || e.Type()&fs.ModeDevice == 0 {
			return nil
		}
		if d, ok := hostDevice(path, filepath.Join(in, rel), access); ok {
			found = append(found, d)
		}
		return nil
	})
	return found, err
}

func hostDevice(path, in, access string) (Device, bool) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return Device{}, false
	}
	d := Device{
		Path: in, Source: path, Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)),
		Mode: os.FileMode(st.Mode & 0o777), UID: st.Uid, GID: st.Gid, Access: access,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		d.Type = "c"
	case unix.S_IFBLK:
		d.Type = "b"
	default:
		return Device{}, false
	}
	return d, true
}
