package spec

import (
	"fmt"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Make makes the spec of a container. Errors are faults of the input that can
// only be seen now.
func Make(in Input) (*specs.Spec, error) {
	hc := in.HostConfig
	process, err := in.process()
	if err != nil {
		return nil, err
	}
	mounts, err := in.mounts()
	if err != nil {
		return nil, err
	}
	resources, err := in.resources()
	if err != nil {
		return nil, err
	}
	s := &specs.Spec{
		Version:     specs.Version,
		Process:     process,
		Root:        &specs.Root{Path: in.Rootfs, Readonly: hc.ReadonlyRootfs},
		Mounts:      mounts,
		Annotations: in.annotations(),
		Linux: &specs.Linux{
			CgroupsPath:       in.CgroupsPath,
			Resources:         resources,
			Namespaces:        in.namespaces(),
			UIDMappings:       idMappings(in.IDs.UIDs),
			GIDMappings:       idMappings(in.IDs.GIDs),
			Devices:           in.deviceNodes(),
			Sysctl:            in.sysctls(),
			MaskedPaths:       maskedEverywhere(),
			ReadonlyPaths:     ReadonlyPaths(),
			RootfsPropagation: in.rootfsPropagation(),
		},
	}
	if !hc.UTSMode.IsHost() {
		s.Hostname, s.Domainname = in.Hostname, in.Config.Domainname
	}
	if hc.MaskedPaths != nil {
		s.Linux.MaskedPaths = slices.Clone(hc.MaskedPaths)
	}
	if hc.ReadonlyPaths != nil {
		s.Linux.ReadonlyPaths = slices.Clone(hc.ReadonlyPaths)
	}
	if hc.Privileged {
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
	}
	if s.Linux.Seccomp, err = in.seccomp(s); err != nil {
		return nil, fmt.Errorf("seccomp profile: %w", err)
	}
	return s, nil
}

// rootfsPropagation is private, unless a bind wants to hear of the host's mounts or be heard.
func (in *Input) rootfsPropagation() string {
	propagation := ""
	for _, b := range in.Binds {
		switch b.Propagation {
		case "shared", "rshared":
			return "shared"
		case "slave", "rslave":
			propagation = "rslave"
		}
	}
	return propagation
}

func ptr[T any](v T) *T { return &v }
