package runconfig

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/mount"
)

// mounts is the repeatable --mount key=value[,…].
type mounts struct{ values *[]mount.Mount }

func (m mounts) Type() string { return "mount" }

func (m mounts) String() string {
	if m.values == nil {
		return ""
	}
	var out []string
	for _, v := range *m.values {
		out = append(out, fmt.Sprintf("%s %s %s", v.Type, v.Source, v.Target))
	}
	return strings.Join(out, ", ")
}

func (m mounts) Set(s string) error {
	v, err := parseMount(s)
	if err != nil {
		return err
	}
	*m.values = append(*m.values, v)
	return nil
}

func parseMount(s string) (mount.Mount, error) {
	fields, err := csv.NewReader(strings.NewReader(s)).Read()
	if err != nil {
		return mount.Mount{}, err
	}
	m := mount.Mount{Type: mount.TypeVolume}
	for _, field := range fields {
		if err := setMountField(&m, field); err != nil {
			return mount.Mount{}, err
		}
	}
	return m, checkMount(m)
}

func setMountField(m *mount.Mount, field string) error {
	key, val, hasValue := strings.Cut(field, "=")
	key = strings.ToLower(key)
	if !hasValue {
		switch key {
		case "readonly", "ro", "volume-nocopy":
			val = "true"
		case "bind-nonrecursive":
		default:
			return fmt.Errorf("invalid field '%s' must be a key=value pair", field)
		}
	}
	invalid := func() error { return fmt.Errorf("invalid value for %s: %s", key, val) }
	var err error
	switch key {
	case "type":
		m.Type = mount.Type(strings.ToLower(val))
	case "source", "src":
		m.Source = absoluteIfDotted(val)
	case "target", "dst", "destination":
		m.Target = val
	case "readonly", "ro":
		if m.ReadOnly, err = strconv.ParseBool(val); err != nil {
			return invalid()
		}
	case "consistency":
		m.Consistency = mount.Consistency(strings.ToLower(val))
	case "bind-propagation":
		bindOptions(m).Propagation = mount.Propagation(strings.ToLower(val))
	case "bind-nonrecursive":
		return errors.New("bind-nonrecursive is deprecated, use bind-recursive=disabled instead")
	case "bind-recursive":
		switch val {
		case "enabled":
		case "disabled":
			bindOptions(m).NonRecursive = true
		case "writable":
			bindOptions(m).ReadOnlyNonRecursive = true
		case "readonly":
			bindOptions(m).ReadOnlyForceRecursive = true
		default:
			return fmt.Errorf(`invalid value for %s: %s (must be "enabled", "disabled", "writable", or "readonly")`, key, val)
		}
	case "bind-create-src":
		if bindOptions(m).CreateMountpoint, err = strconv.ParseBool(val); err != nil {
			return invalid()
		}
	case "volume-nocopy":
		if volumeOptions(m).NoCopy, err = strconv.ParseBool(val); err != nil {
			return invalid()
		}
	case "volume-subpath":
		volumeOptions(m).Subpath = val
	case "volume-label":
		addPair(&volumeOptions(m).Labels, val)
	case "volume-driver":
		volumeOptions(m).DriverConfig.Name = val
	case "volume-opt":
		addPair(&volumeOptions(m).DriverConfig.Options, val)
	case "image-subpath":
		if m.ImageOptions == nil {
			m.ImageOptions = &mount.ImageOptions{}
		}
		m.ImageOptions.Subpath = val
	case "tmpfs-size":
		size, err := units.RAMInBytes(val)
		if err != nil {
			return invalid()
		}
		tmpfsOptions(m).SizeBytes = size
	case "tmpfs-mode":
		mode, err := strconv.ParseUint(val, 8, 32)
		if err != nil {
			return invalid()
		}
		tmpfsOptions(m).Mode = os.FileMode(mode)
	default:
		return fmt.Errorf("unexpected key '%s' in '%s'", key, field)
	}
	return nil
}

func checkMount(m mount.Mount) error {
	mixed := func(kind string) error {
		return fmt.Errorf("cannot mix '%s-*' options with mount type '%s'", kind, m.Type)
	}
	switch {
	case m.Type == "":
		return errors.New("type is required")
	case m.Target == "":
		return errors.New("target is required")
	case m.VolumeOptions != nil && m.Type != mount.TypeVolume:
		return mixed("volume")
	case m.ImageOptions != nil && m.Type != mount.TypeImage:
		return mixed("image")
	case m.BindOptions != nil && m.Type != mount.TypeBind:
		return mixed("bind")
	case m.TmpfsOptions != nil && m.Type != mount.TypeTmpfs:
		return mixed("tmpfs")
	}
	b := m.BindOptions
	switch {
	case b == nil:
	case b.ReadOnlyNonRecursive && !m.ReadOnly:
		return errors.New("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction")
	case b.ReadOnlyForceRecursive && !m.ReadOnly:
		return errors.New("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction")
	case b.ReadOnlyForceRecursive && b.Propagation != mount.PropagationRPrivate:
		return errors.New("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction")
	}
	return nil
}

func bindOptions(m *mount.Mount) *mount.BindOptions {
	if m.BindOptions == nil {
		m.BindOptions = &mount.BindOptions{}
	}
	return m.BindOptions
}

func volumeOptions(m *mount.Mount) *mount.VolumeOptions {
	if m.VolumeOptions == nil {
		m.VolumeOptions = &mount.VolumeOptions{Labels: map[string]string{}, DriverConfig: &mount.Driver{}}
	}
	return m.VolumeOptions
}

func tmpfsOptions(m *mount.Mount) *mount.TmpfsOptions {
	if m.TmpfsOptions == nil {
		m.TmpfsOptions = &mount.TmpfsOptions{}
	}
	return m.TmpfsOptions
}

func addPair(m *map[string]string, pair string) {
	if *m == nil {
		*m = map[string]string{}
	}
	if k, v, _ := strings.Cut(pair, "="); k != "" {
		(*m)[k] = v
	}
}

// absoluteIfDotted resolves ./here and ../there; any other relative name is a
// volume's, not a path's.
func absoluteIfDotted(path string) string {
	if strings.HasPrefix(path, ".") {
		if abs, err := filepath.Abs(path); err == nil {
			return abs
		}
	}
	return path
}
