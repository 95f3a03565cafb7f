package spec

import (
	"github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ExecInput is all that the process of an exec depends on.
type ExecInput struct {
	Rootfs     string // of the running container, on the host
	Config     *container.Config
	HostConfig *container.HostConfig
	Hostname   string
	Host       Host
	Defaults   Defaults

	Args       []string
	Env        []string // on top of the container's
	User       string   // "" is the container's
	WorkingDir string   // "" is the container's
	Tty        bool
	Privileged bool
	Height     uint // of the terminal, 0 if not known
	Width      uint
}

// Exec makes the process of an exec in a running container. Errors are those
// of FindUser.
func Exec(e ExecInput) (*specs.Process, error) {
	name := e.User
	if name == "" {
		name = e.Config.User
	}
	who, err := FindUser(e.Rootfs, name, e.HostConfig.GroupAdd)
	if err != nil {
		return nil, err
	}
	in := Input{Config: e.Config, HostConfig: e.HostConfig, Host: e.Host, Defaults: e.Defaults}
	security, err := in.security()
	if err != nil {
		return nil, err
	}
	dir := e.WorkingDir
	if dir == "" {
		dir = e.Config.WorkingDir
	}
	bounding := in.capabilities()
	apparmor, err := in.apparmor()
	if err != nil {
		return nil, err
	}
	if e.Privileged {
		bounding = e.Host.Capabilities
		if e.Host.AppArmor {
			apparmor = unconfined
		}
	}
	p := &specs.Process{
		Terminal:        e.Tty,
		User:            who.Spec,
		Args:            e.Args,
		Env:             Env(MergeEnv(e.Config.Env, e.Env), e.Hostname, who.Home, e.Tty),
		Cwd:             Cwd(dir),
		Capabilities:    Capabilities(bounding, who.Spec.UID),
		Rlimits:         in.rlimits(),
		OOMScoreAdj:     ptr(e.HostConfig.OomScoreAdj),
		NoNewPrivileges: security.NoNewPrivileges,
		ApparmorProfile: apparmor,
	}
	if e.Tty && e.Height > 0 && e.Width > 0 {
		p.ConsoleSize = &specs.Box{Height: e.Height, Width: e.Width}
	}
	return p, nil
}
