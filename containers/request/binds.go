package request

import (
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/internal/errs"
)

// PlanMounts reads what is to be mounted into the container. Errors are of the
// classes invalid and not implemented.
func PlanMounts(hc *container.HostConfig) ([]container.MountPoint, error) {
	var points []container.MountPoint
	taken := map[string]bool{}
	add := func(p container.MountPoint) error {
		if taken[p.Destination] {
			return errs.Invalid("Duplicate mount point: %s", p.Destination)
		}
		taken[p.Destination] = true
		points = append(points, p)
		return nil
	}
	for _, text := range hc.Binds {
		p, err := ParseBind(text)
		if err != nil {
			return nil, err
		}
		if err := add(p); err != nil {
			return nil, err
		}
	}
	for _, m := range hc.Mounts {
		p, err := parseMount(m)
		if err != nil {
			return nil, err
		}
		if err := add(p); err != nil {
			return nil, err
		}
	}
	for _, target := range slices.Sorted(maps.Keys(hc.Tmpfs)) {
		if taken[path.Clean(target)] {
			return nil, errs.Invalid("Duplicate mount point: %s", path.Clean(target))
		}
	}
	return points, nil
}

// ParseBind reads source:destination[:options] of HostConfig.Binds.
func ParseBind(text string) (container.MountPoint, error) {
	var none container.MountPoint
	parts := strings.Split(text, ":")
	bad := func(why string) (container.MountPoint, error) {
		return none, errs.Invalid("invalid volume specification: '%s'%s", text, why)
	}
	switch {
	case len(parts) > 3 || text == "" || slices.Contains(parts[:min(2, len(parts))], ""):
		return bad("")
	case len(parts) == 1:
		if !path.IsAbs(text) {
			return bad(fmt.Sprintf(`: invalid mount config for type "volume": invalid mount path: '%s' mount path must be absolute`, text))
		}
		return none, NoVolumes("", text)
	}
	p := container.MountPoint{Type: mount.TypeBind, Source: path.Clean(parts[0]), Destination: path.Clean(parts[1]), RW: true}
	if err := CheckTarget(parts[1]); err != nil {
		return bad(`: invalid mount config for type "bind": ` + err.Error())
	}
	if strings.ContainsRune(text, 0) {
		return bad("")
	}
	if len(parts) == 3 {
		if err := parseBindMode(&p, parts[2]); err != nil {
			return none, err
		}
	}
	if !path.IsAbs(parts[0]) {
		return none, NoVolumes(parts[0], p.Destination)
	}
	if p.Propagation == "" {
		p.Propagation = mount.PropagationRPrivate
	}
	return p, nil
}

// parseBindMode reads the options behind the second colon.
func parseBindMode(p *container.MountPoint, mode string) error {
	p.Mode = mode
	seen := map[string]bool{}
	kind := func(k string) bool { first := !seen[k]; seen[k] = true; return first }
	for _, o := range strings.Split(mode, ",") {
		ok := false
		switch o {
		case "ro", "rw":
			p.RW, ok = o == "rw", kind("rw")
		case "z", "Z":
			ok = kind("label") // there is no SELinux: nothing to do
		case "nocopy":
			ok = kind("copy")
		case "consistent", "cached", "delegated", "default":
			ok = kind("consistency")
		case "private", "rprivate", "shared", "rshared", "slave", "rslave":
			p.Propagation, ok = mount.Propagation(o), kind("propagation")
		}
		if !ok {
			return errs.Invalid("invalid mode: %s", mode)
		}
	}
	return nil
}

// parseMount reads one of HostConfig.Mounts.
func parseMount(m mount.Mount) (container.MountPoint, error) {
	var none container.MountPoint
	bad := func(format string, args ...any) (container.MountPoint, error) {
		return none, errs.Invalid("invalid mount config for type %q: %s", m.Type, fmt.Sprintf(format, args...))
	}
	if m.Target == "" {
		return bad("field Target must not be empty")
	}
	if err := CheckTarget(m.Target); err != nil {
		return bad("%s", err)
	}
	p := container.MountPoint{Type: m.Type, Destination: path.Clean(m.Target), RW: !m.ReadOnly}
	switch m.Type {
	case mount.TypeBind:
		switch {
		case m.Source == "":
			return bad("field Source must not be empty")
		case m.VolumeOptions != nil:
			return bad("field VolumeOptions must not be specified")
		case m.TmpfsOptions != nil:
			return bad("field TmpfsOptions must not be specified")
		case !path.IsAbs(m.Source):
			return bad("invalid mount path: '%s' mount path must be absolute", m.Source)
		case strings.ContainsRune(m.Source, 0):
			return bad("invalid mount path")
		}
		p.Source = path.Clean(m.Source)
		p.Propagation = mount.PropagationRPrivate
		if o := m.BindOptions; o != nil {
			if o.Propagation != "" {
				if !slices.Contains(mount.Propagations, o.Propagation) {
					return bad("invalid propagation mode: %s", o.Propagation)
				}
				p.Propagation = o.Propagation
			}
			if o.ReadOnlyForceRecursive {
				return none, errs.NotImplemented("BindOptions.ReadOnlyForceRecursive is not supported yet in this version")
			}
		}
		if _, err := os.Stat(p.Source); err != nil && (m.BindOptions == nil || !m.BindOptions.CreateMountpoint) {
			return bad("bind source path does not exist: %s", p.Source)
		}
		return p, nil
	case mount.TypeTmpfs:
		switch {
		case m.Source != "":
			return bad("field Source must not be specified")
		case m.BindOptions != nil:
			return bad("field BindOptions must not be specified")
		case m.VolumeOptions != nil:
			return bad("field VolumeOptions must not be specified")
		}
		_, err := spec.TmpfsOptions(TmpfsOptions(m))
		return p, err
	case mount.TypeVolume:
		return none, NoVolumes(m.Source, m.Target)
	case mount.TypeImage, mount.TypeCluster, mount.TypeNamedPipe:
		return none, errs.NotImplemented("mounts of type %q are not supported yet in this version", m.Type)
	}
	return bad("mount type unknown")
}

func NoVolumes(name, target string) error {
	if name == "" {
		return errs.NotImplemented("anonymous volume for %s: volumes do not exist yet in this version: bind a host folder with -v /host/path:%s", target, target)
	}
	return errs.NotImplemented("volume %q: volumes do not exist yet in this version: bind a host folder with -v /host/path:%s", name, target)
}

// CheckTarget tells whether something may be mounted there.
func CheckTarget(target string) error {
	if !path.IsAbs(target) {
		return errs.Invalid("invalid mount path: '%s' mount path must be absolute", target)
	}
	if strings.ContainsRune(target, 0) {
		return errs.Invalid("invalid mount path: %q", target)
	}
	if len(target) >= maxPath {
		return errs.Invalid("invalid mount path: longer than %d bytes", maxPath-1)
	}
	if path.Clean(target) == "/" {
		return errs.Invalid("invalid specification: destination can't be '/'")
	}
	return nil
}

// TmpfsOptions turns TmpfsOptions into mount options.
func TmpfsOptions(m mount.Mount) string {
	var list []string
	if m.ReadOnly {
		list = append(list, "ro")
	}
	if o := m.TmpfsOptions; o != nil {
		if o.SizeBytes > 0 {
			list = append(list, fmt.Sprintf("size=%d", o.SizeBytes))
		}
		if o.Mode != 0 {
			list = append(list, fmt.Sprintf("mode=%o", o.Mode))
		}
		for _, kv := range o.Options {
			list = append(list, strings.Join(kv, "="))
		}
	}
	return strings.Join(list, ",")
}
