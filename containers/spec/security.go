package spec

import (
	"strconv"
	"strings"

	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/internal/errs"
)

// Security is HostConfig.SecurityOpt, understood.
type Security struct {
	NoNewPrivileges bool
	Unconfined      bool   // no seccomp filter
	Profile         string // seccomp profile as JSON; "" is the default one
}

// ParseSecurity understands the options that the API has as text. Errors are of
// the class invalid and name the option.
func ParseSecurity(options []string) (Security, error) {
	var s Security
	for _, opt := range options {
		if opt == "no-new-privileges" {
			s.NoNewPrivileges = true
			continue
		}
		key, value, ok := strings.Cut(opt, "=")
		if !ok {
			key, value, ok = strings.Cut(opt, ":")
		}
		if !ok {
			return s, errs.Invalid("invalid --security-opt 1: %q", opt)
		}
		switch key {
		case "seccomp":
			switch value {
			case "unconfined":
				s.Unconfined, s.Profile = true, ""
			case "builtin":
				s.Unconfined, s.Profile = false, ""
			default:
				s.Unconfined, s.Profile = false, value
			}
		case "no-new-privileges":
			on, err := strconv.ParseBool(value)
			if err != nil {
				return s, errs.Invalid("invalid --security-opt 2: %q", opt)
			}
			s.NoNewPrivileges = on
		case "apparmor":
			if value != "unconfined" {
				return s, errs.NotImplemented("--security-opt apparmor: profiles are not supported yet in this version")
			}
		case "label":
			if value != "disable" {
				return s, errs.NotImplemented("--security-opt label: SELinux labels are not supported yet in this version")
			}
		case "systempaths", "writable-cgroups":
			return s, errs.NotImplemented("--security-opt %s is not supported yet in this version", key)
		default:
			return s, errs.Invalid("invalid --security-opt 2: %q", opt)
		}
	}
	return s, nil
}

// CheckProfile tells whether a seccomp profile can be used.
func CheckProfile(profile string) error {
	if profile == "" {
		return nil
	}
	_, err := seccomp.LoadProfile(profile, &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	return err
}

// seccomp is the filter of the container. What it allows depends on the
// capabilities in s.
func (in *Input) seccomp(s *specs.Spec) (*specs.LinuxSeccomp, error) {
	security, err := ParseSecurity(in.HostConfig.SecurityOpt)
	if err != nil || security.Unconfined {
		return nil, err
	}
	if !in.Host.Seccomp {
		if security.Profile != "" {
			return nil, errs.Invalid("seccomp is not enabled in your kernel, cannot run a custom seccomp profile")
		}
		return nil, nil
	}
	if security.Profile != "" {
		return seccomp.LoadProfile(security.Profile, s)
	}
	if in.HostConfig.Privileged {
		return nil, nil
	}
	return DefaultSeccomp(s)
}
