package runconfig

import (
	"encoding/csv"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/blkiodev"
	"github.com/moby/moby/api/types/container"
)

// isCDI tells a device by its CDI name, vendor.example/class=name.
func isCDI(s string) bool {
	kind, name, ok := strings.Cut(s, "=")
	vendor, class, ok2 := strings.Cut(kind, "/")
	return ok && ok2 && name != "" && class != "" && vendor != "" && vendor[0] != '.' && !strings.Contains(class, "/")
}

// devices reads --device HOST[:CONTAINER][:rwm].
func devices(specs []string) (paths []container.DeviceMapping, cdi []string, err error) {
	paths = []container.DeviceMapping{}
	for _, s := range specs {
		if isCDI(s) {
			cdi = append(cdi, s)
			continue
		}
		d, err := parseDevice(s)
		if err != nil {
			return nil, nil, err
		}
		paths = append(paths, d)
	}
	return paths, cdi, nil
}

func parseDevice(s string) (container.DeviceMapping, error) {
	parts := strings.Split(s, ":")
	if len(parts) > 3 || parts[0] == "" {
		return container.DeviceMapping{}, fmt.Errorf("bad format for path: %s", s)
	}
	d := container.DeviceMapping{PathOnHost: parts[0], PathInContainer: parts[0], CgroupPermissions: "rwm"}
	switch {
	case len(parts) == 3:
		if !isDeviceMode(parts[2]) {
			return d, fmt.Errorf("bad mode specified: %s", parts[2])
		}
		d.PathInContainer, d.CgroupPermissions = parts[1], parts[2]
	case len(parts) == 2 && isDeviceMode(parts[1]):
		d.PathOnHost, d.PathInContainer = path.Clean(parts[0]), path.Clean(parts[0])
		d.CgroupPermissions = parts[1]
	case len(parts) == 2:
		d.PathInContainer = path.Clean(parts[1])
	default:
		d.PathOnHost, d.PathInContainer = path.Clean(parts[0]), path.Clean(parts[0])
	}
	if !path.IsAbs(d.PathInContainer) {
		return d, fmt.Errorf("%s is not an absolute path", d.PathInContainer)
	}
	return d, nil
}

// isDeviceMode wants some of r, w and m, each once.
func isDeviceMode(s string) bool {
	if s == "" {
		return false
	}
	for i, c := range s {
		if !strings.ContainsRune("rwm", c) || strings.ContainsRune(s[:i], c) {
			return false
		}
	}
	return true
}

// checkDeviceRule wants `TYPE MAJOR:MINOR MODE`, a number or * in the middle.
func checkDeviceRule(s string) (string, error) {
	bad := fmt.Errorf("invalid device cgroup format '%s'", s)
	f := strings.Split(s, " ")
	if len(f) != 3 || len(f[0]) != 1 || !strings.Contains("acb", f[0]) || f[2] == "" || len(f[2]) > 3 || strings.Trim(f[2], "rwm") != "" {
		return s, bad
	}
	major, minor, ok := strings.Cut(f[1], ":")
	for _, n := range []string{major, minor} {
		if !ok || n == "" || n != "*" && strings.Trim(n, "0123456789") != "" {
			return s, bad
		}
	}
	return s, nil
}

func splitDevice(s string) (dev, value string, err error) {
	dev, value, ok := strings.Cut(s, ":")
	if !ok || dev == "" {
		return "", "", fmt.Errorf("bad format: %s", s)
	}
	if !strings.HasPrefix(dev, "/dev/") {
		return "", "", fmt.Errorf("bad format for device path: %s", s)
	}
	return dev, value, nil
}

// throttles is the repeatable DEVICE:RATE of bytes (with a unit) or operations.
type throttles struct {
	values *[]*blkiodev.ThrottleDevice
	bytes  bool
}

func (t throttles) Type() string { return "list" }

func (t throttles) String() string {
	if t.values == nil {
		return ""
	}
	return fmt.Sprint(*t.values)
}

func (t throttles) Set(s string) error {
	dev, value, err := splitDevice(s)
	if err != nil {
		return err
	}
	var rate uint64
	if t.bytes {
		n, err := units.RAMInBytes(value)
		if err != nil || n < 0 {
			return fmt.Errorf("invalid rate for device: %s. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb", s)
		}
		rate = uint64(n)
	} else if rate, err = strconv.ParseUint(value, 10, 64); err != nil {
		return fmt.Errorf("invalid rate for device: %s. The correct format is <device-path>:<number>. Number must be a positive integer", s)
	}
	*t.values = append(*t.values, &blkiodev.ThrottleDevice{Path: dev, Rate: rate})
	return nil
}

// weights is the repeatable DEVICE:WEIGHT, 10 to 1000 or 0.
type weights struct{ values *[]*blkiodev.WeightDevice }

func (w weights) Type() string { return "list" }

func (w weights) String() string {
	if w.values == nil {
		return ""
	}
	return fmt.Sprint(*w.values)
}

func (w weights) Set(s string) error {
	dev, value, err := splitDevice(s)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil || n > 0 && (n < 10 || n > 1000) {
		return fmt.Errorf("invalid weight for device: %s", s)
	}
	*w.values = append(*w.values, &blkiodev.WeightDevice{Path: dev, Weight: uint16(n)})
	return nil
}

// gpus is the repeatable --gpus: a count, "all", or key=value fields.
type gpus struct{ values *[]container.DeviceRequest }

func (g gpus) Type() string { return "gpu-request" }

func (g gpus) String() string {
	if g.values == nil {
		return ""
	}
	var out []string
	for _, v := range *g.values {
		out = append(out, fmt.Sprint(v))
	}
	return strings.Join(out, ", ")
}

func (g gpus) Set(s string) error {
	fields, err := csv.NewReader(strings.NewReader(s)).Read()
	if err != nil {
		return err
	}
	req := container.DeviceRequest{}
	seen := map[string]bool{}
	for _, field := range fields {
		key, val, hasValue := strings.Cut(field, "=")
		if seen[key] {
			return fmt.Errorf("gpu request key '%s' can be specified only once", key)
		}
		seen[key] = true
		if !hasValue {
			key, val = "count", key
			seen[key] = true
		}
		switch key {
		case "driver":
			req.Driver = val
		case "count":
			if req.Count, err = gpuCount(val); err != nil {
				return err
			}
		case "device":
			req.DeviceIDs = strings.Split(val, ",")
		case "capabilities":
			req.Capabilities = [][]string{append(strings.Split(val, ","), "gpu")}
		case "options":
			options, err := csv.NewReader(strings.NewReader(val)).Read()
			if err != nil {
				return fmt.Errorf("failed to read gpu options: %w", err)
			}
			req.Options = toMap(options)
		default:
			return fmt.Errorf("unexpected key '%s' in '%s'", key, field)
		}
	}
	if !seen["count"] && req.DeviceIDs == nil {
		req.Count = 1
	}
	if req.Options == nil {
		req.Options = map[string]string{}
	}
	if req.Capabilities == nil {
		req.Capabilities = [][]string{{"gpu"}}
	}
	*g.values = append(*g.values, req)
	return nil
}

func gpuCount(s string) (int, error) {
	if s == "all" {
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf(`invalid count (%s): value must be either "all" or an integer: %w`, s, errors.Unwrap(err))
	}
	return n, nil
}
