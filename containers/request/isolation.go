package request

import (
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/internal/errs"
)

// maxGroups is how many supplementary groups the kernel lets a process have.
const maxGroups = 65536

// checkSecurity checks what is said of filters, devices and groups. What depends
// on the image or on what the host has at that moment is seen when the container starts.
func (rules *Rules) checkSecurity(hc *container.HostConfig) error {
	s, err := spec.ParseSecurity(hc.SecurityOpt, rules.Defaults)
	if err != nil {
		return err
	}
	if err := spec.CheckProfile(s.Seccomp); err != nil {
		return err
	}
	if err := rules.checkWritableCgroups(hc, s); err != nil {
		return err
	}
	if len(hc.GroupAdd) > maxGroups {
		return errs.Invalid("invalid GroupAdd: %d groups, and a process can have %d", len(hc.GroupAdd), maxGroups)
	}
	for _, group := range hc.GroupAdd {
		if strings.ContainsAny(group, "\x00\n\r:") {
			return errs.Invalid("invalid GroupAdd: %q", group)
		}
	}
	for name := range hc.Annotations {
		if name == "" {
			return errs.Invalid("invalid Annotations: the empty string is not permitted as an annotation key")
		}
	}
	return checkDevices(hc)
}

// checkWritableCgroups refuses what would be a way out: on version 1 whoever may
// write to a cgroup can have the host run a program (release_agent), and without
// a namespace of its own a container would write to those of others.
func (rules *Rules) checkWritableCgroups(hc *container.HostConfig, s spec.Security) error {
	if s.WritableCgroups == nil || !*s.WritableCgroups || hc.Privileged {
		return nil
	}
	mode := hc.CgroupnsMode
	if mode.IsEmpty() {
		mode = rules.Defaults.Cgroupns(rules.Host.Cgroup.Version, false)
	}
	switch {
	case rules.Host.Cgroup.Version != 2:
		return errs.Invalid("invalid --security-opt writable-cgroups: it needs cgroup version 2, and this host has version 1")
	case !mode.IsPrivate():
		return errs.Invalid("invalid --security-opt writable-cgroups: it needs a private cgroup namespace (--cgroupns private)")
	}
	return nil
}

func checkDevices(hc *container.HostConfig) error {
	for _, rule := range hc.DeviceCgroupRules {
		if _, err := spec.ParseDeviceRule(rule); err != nil {
			return err
		}
	}
	for _, d := range hc.Devices {
		if strings.Trim(d.CgroupPermissions, "rwm") != "" || len(d.CgroupPermissions) > 3 {
			return errs.Invalid("invalid device mode: %s", d.CgroupPermissions)
		}
		inside := d.PathInContainer
		if inside == "" {
			inside = d.PathOnHost
		}
		for _, p := range []string{d.PathOnHost, inside} {
			if !path.IsAbs(p) || strings.ContainsRune(p, 0) || len(p) >= maxPath {
				return errs.Invalid("invalid device mapping: %q is not an absolute path", p[:min(len(p), 256)])
			}
		}
		if slices.Contains([]string{"/", "/dev"}, path.Clean(inside)) && path.Clean(inside) != path.Clean(d.PathOnHost) {
			return errs.Invalid("invalid device mapping: there can be no device at %q", inside)
		}
	}
	return nil
}

// checkJoinedNetwork refuses what belongs to the owner of a network that a
// container is to share.
func checkJoinedNetwork(cfg *container.Config, hc *container.HostConfig) error {
	mode := hc.NetworkMode
	if mode.IsHost() && len(hc.Links) > 0 {
		return errs.Invalid("conflicting options: host type networking can't be used with links. This would result in undefined behavior")
	}
	if name, isJoin := strings.CutPrefix(string(mode), "container"); !isJoin || name != "" && name[0] != ':' {
		return nil
	}
	switch {
	case mode.ConnectedContainer() == "":
		return errs.Invalid("Invalid network mode: invalid container format container:<name|id>")
	case cfg.Hostname != "":
		return errs.Invalid("conflicting options: hostname and the network mode")
	case len(hc.Links) > 0:
		return errs.Invalid("conflicting options: container type network can't be used with links. This would result in undefined behavior")
	case len(hc.DNS) > 0:
		return errs.Invalid("conflicting options: dns and the network mode")
	case len(hc.ExtraHosts) > 0:
		return errs.Invalid("conflicting options: custom host-to-IP mapping and the network mode")
	case len(hc.PortBindings) > 0 || hc.PublishAllPorts:
		return errs.Invalid("conflicting options: port publishing and the container type network mode")
	case len(cfg.ExposedPorts) > 0:
		return errs.Invalid("conflicting options: port exposing and the container type network mode")
	}
	return nil
}

// Unapplied tells which options of a container have no effect, and why.
func (rules *Rules) Unapplied(hc *container.HostConfig) []string {
	var list []string
	s, err := spec.ParseSecurity(hc.SecurityOpt, rules.Defaults)
	if err != nil {
		return nil
	}
	if s.AppArmor != "" && s.AppArmor != "unconfined" && !rules.AppArmor {
		list = append(list, "AppArmor is not enabled on this host: the profile "+s.AppArmor+" has no effect.")
	}
	for _, label := range s.Labels {
		if label != "disable" {
			list = append(list, "This engine sets no SELinux labels: "+label+" has no effect.")
		}
	}
	for _, name := range spec.WithheldAnnotations(hc.Annotations) {
		list = append(list, "The annotation "+name+" is kept, but not handed to the runtime, which would take it for an order.")
	}
	return list
}
