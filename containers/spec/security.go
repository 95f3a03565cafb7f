package spec

import (
	"strconv"
	"strings"

	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/internal/errs"
)

// The profiles of seccomp that are words.
const (
	unconfined = "unconfined" // no filter
	builtin    = "builtin"    // the one of this engine
)

// Security is HostConfig.SecurityOpt, understood.
type Security struct {
	NoNewPrivileges bool
	Seccomp         string // a profile as JSON, unconfined or builtin; "" if nothing was said
	AppArmor        string // "" if nothing was said
	Labels          []string
	WritableCgroups *bool // nil: only if the container is privileged
}

// ParseSecurity understands the options that the API has as text. Errors are of
// the class invalid and name the option.
func ParseSecurity(options []string, d Defaults) (Security, error) {
	s := Security{NoNewPrivileges: d.NoNewPrivileges}
	for _, opt := range options {
		switch opt {
		case "no-new-privileges":
			s.NoNewPrivileges = true
			continue
		case "writable-cgroups":
			s.WritableCgroups = ptr(true)
			continue
		case "disable": // what label=disable was before labels had a name
			s.Labels = append(s.Labels, opt)
			continue
		}
		key, value, ok := strings.Cut(opt, "=")
		if !ok {
			key, value, ok = strings.Cut(opt, ":")
		}
		if !ok {
			return s, errs.Invalid("invalid --security-opt 1: %q", opt)
		}
		var err error
		switch key {
		case "seccomp":
			s.Seccomp = value
		case "apparmor":
			s.AppArmor = value
		case "label":
			s.Labels = append(s.Labels, value)
		case "no-new-privileges":
			s.NoNewPrivileges, err = strconv.ParseBool(value)
		case "writable-cgroups":
			s.WritableCgroups = new(bool)
			*s.WritableCgroups, err = strconv.ParseBool(value)
		default:
			err = strconv.ErrSyntax
		}
		if err != nil {
			return s, errs.Invalid("invalid --security-opt 2: %q", opt)
		}
	}
	return s, nil
}

// writableCgroups says whether the container may write to its cgroup.
func (in *Input) writableCgroups() (bool, error) {
	s, err := in.security()
	if err != nil || s.WritableCgroups == nil {
		return in.HostConfig.Privileged, err
	}
	return *s.WritableCgroups, nil
}

func (in *Input) security() (Security, error) {
	return ParseSecurity(in.HostConfig.SecurityOpt, in.Defaults)
}

// apparmor is the profile of the container's processes, "" where the kernel has
// none or nothing was asked for.
func (in *Input) apparmor() (string, error) {
	s, err := in.security()
	if err != nil || !in.Host.AppArmor {
		return "", err
	}
	return s.AppArmorProfile(in.HostConfig.Privileged, in.Defaults), nil
}

// AppArmorProfile is the profile of a container's processes, where the kernel has AppArmor.
func (s Security) AppArmorProfile(privileged bool, d Defaults) string {
	switch {
	case s.AppArmor != "":
		return s.AppArmor
	case privileged:
		return unconfined
	}
	return d.AppArmor
}

// seccomp is the filter of the container. What it allows depends on the
// capabilities in s.
func (in *Input) seccomp(s *specs.Spec) (*specs.LinuxSeccomp, error) {
	security, err := in.security()
	if err != nil {
		return nil, err
	}
	profile := security.Seccomp
	switch {
	case profile == "" && in.HostConfig.Privileged:
		return nil, nil
	case profile == "":
		if profile = in.Defaults.Seccomp; profile == "" {
			profile = builtin
		}
	}
	switch {
	case profile == unconfined:
		return nil, nil
	case !in.Host.Seccomp && profile != builtin:
		return nil, errs.Invalid("seccomp is not enabled in your kernel, cannot run a custom seccomp profile")
	case !in.Host.Seccomp:
		return nil, nil
	case profile == builtin:
		return DefaultSeccomp(s)
	}
	return seccomp.LoadProfile(profile, s)
}
