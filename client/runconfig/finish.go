package runconfig

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
)

// Finish checks what the flags say together with the image and the command,
// and completes Config, Host and Networking.
func (o *Options) Finish(image string, command []string) error {
	c, h := &o.Config, &o.Host
	c.Image = image
	if len(command) > 0 {
		c.Cmd = command
	}
	if o.entrypoint != "" || o.flags.Changed("entrypoint") {
		c.Entrypoint = []string{o.entrypoint} // one empty word takes the image's away
	}
	if o.mac != "" {
		if _, err := net.ParseMAC(strings.TrimSpace(o.mac)); err != nil {
			return fmt.Errorf("%s is not a valid mac address", o.mac)
		}
	}
	o.attachStreams()
	for _, step := range []func() error{
		o.memory, o.mounts, o.exposePorts, o.mapDevices, o.environment, o.namespaces,
		o.restartPolicy, o.logging, o.security, o.storage, o.healthcheck,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if o.flags.Changed("stop-timeout") {
		c.StopTimeout = &o.stopTimeout
	}
	if o.flags.Changed("init") {
		h.Init = &o.initProcess
	}
	h.Ulimits = ulimits{o.ulimits}.sorted()
	h.PidsLimit, h.OomKillDisable = &o.pids, &o.oomKillOff
	h.IOMaximumBandwidth = uint64(o.ioBandwidth)
	h.DNS = append([]netip.Addr{}, addresses(o.dns)...)
	h.NetworkMode = "default"
	if len(o.networks) > 0 {
		h.NetworkMode = container.NetworkMode(o.networks[0].target)
	}
	if h.AutoRemove && !h.RestartPolicy.IsNone() {
		return errors.New("conflicting options: cannot specify both --restart and --rm")
	}
	var err error
	o.Networking.EndpointsConfig, err = o.endpoints()
	return err
}

// Supported refuses the flags that only a daemon on Windows knows.
func (o *Options) Supported() error {
	var errs []error
	for _, name := range windowsFlags() {
		if o.flags.Changed(name) {
			errs = append(errs, fmt.Errorf(`"--%s" is only supported on a Engine daemon running on windows, but the Engine daemon is running on linux`, name))
		}
	}
	return errors.Join(errs...)
}

// attachStreams: without --attach it is output and errors; -i adds input.
func (o *Options) attachStreams() {
	c := &o.Config
	c.AttachStdin = c.OpenStdin || slices.Contains(o.Attach, "stdin")
	c.AttachStdout = len(o.Attach) == 0 || slices.Contains(o.Attach, "stdout")
	c.AttachStderr = len(o.Attach) == 0 || slices.Contains(o.Attach, "stderr")
	// Input ends for the process when the client that gives it goes.
	c.StdinOnce = c.OpenStdin && c.AttachStdin
}

func (o *Options) memory() error {
	if o.swappiness < -1 || o.swappiness > 100 {
		return fmt.Errorf("invalid value: %d. Valid memory swappiness range is 0-100", o.swappiness)
	}
	o.Host.MemorySwappiness = &o.swappiness
	return nil
}

func (o *Options) mounts() error {
	o.Config.Volumes = map[string]struct{}{}
	for _, spec := range o.volumes {
		text, bind, err := splitVolume(spec)
		switch {
		case err != nil:
			return err
		case !bind:
			o.Config.Volumes[text] = struct{}{}
		case !slices.Contains(o.Host.Binds, text):
			o.Host.Binds = append(o.Host.Binds, text)
		}
	}
	o.Host.Tmpfs = map[string]string{}
	for _, t := range o.tmpfs {
		path, options, _ := strings.Cut(t, ":")
		o.Host.Tmpfs[path] = options
	}
	return nil
}

// AddMount adds a mount that no flag named.
func (o *Options) AddMount(m mount.Mount) { o.Host.Mounts = append(o.Host.Mounts, m) }

func (o *Options) exposePorts() (err error) {
	o.Config.ExposedPorts, o.Host.PortBindings, err = ports(o.publish, o.expose)
	return err
}

func (o *Options) mapDevices() error {
	paths, cdi, err := devices(o.devices)
	if err != nil {
		return err
	}
	o.Host.Devices = paths
	if len(cdi) > 0 {
		o.Host.DeviceRequests = append(o.Host.DeviceRequests, container.DeviceRequest{Driver: "cdi", DeviceIDs: cdi})
	}
	return nil
}

func (o *Options) environment() (err error) {
	if o.Config.Env, err = Env(o.envFiles, o.Env); err != nil {
		return err
	}
	labels, err := withFiles(o.labelFiles, o.labels, nil)
	o.Config.Labels = toMap(labels)
	return err
}

func (o *Options) namespaces() error {
	h := &o.Host
	switch {
	case !h.PidMode.Valid():
		return errors.New("--pid: invalid PID mode")
	case !h.UTSMode.Valid():
		return errors.New("--uts: invalid UTS mode")
	case !h.UsernsMode.Valid():
		return errors.New("--userns: invalid USER mode")
	case !h.CgroupnsMode.Valid():
		return errors.New("--cgroupns: invalid CGROUP mode")
	}
	return nil
}

func (o *Options) restartPolicy() (err error) {
	o.Host.RestartPolicy, err = parseRestart(o.restart)
	return err
}

// parseRestart reads NAME[:MAXIMUM]; the daemon knows which names there are.
func parseRestart(s string) (container.RestartPolicy, error) {
	name, count, hasCount := strings.Cut(s, ":")
	if hasCount && name == "" {
		return container.RestartPolicy{}, errors.New("invalid restart policy format: no policy provided before colon")
	}
	p := container.RestartPolicy{Name: container.RestartPolicyMode(name)}
	if count != "" {
		n, err := strconv.Atoi(count)
		if err != nil {
			return container.RestartPolicy{}, errors.New("invalid restart policy format: maximum retry count must be an integer")
		}
		p.MaximumRetryCount = n
	}
	return p, nil
}

func (o *Options) logging() error {
	if o.Host.LogConfig.Type == "none" && len(o.logOptions) > 0 {
		return fmt.Errorf("invalid logging opts for driver %s", o.Host.LogConfig.Type)
	}
	o.Host.LogConfig.Config = toMap(o.logOptions)
	return nil
}

func (o *Options) security() error {
	opts, openPaths, err := securityOptions(o.securityOpts)
	if err != nil {
		return err
	}
	o.Host.SecurityOpt = opts
	if openPaths {
		o.Host.MaskedPaths, o.Host.ReadonlyPaths = []string{}, []string{}
	}
	return nil
}

func (o *Options) storage() (err error) {
	o.Host.StorageOpt, err = storageOptions(o.storageOpts)
	return err
}

func (o *Options) healthcheck() error {
	h := o.health
	given := o.healthCommand != "" || h.Interval != 0 || h.Timeout != 0 || h.StartPeriod != 0 || h.StartInterval != 0 || h.Retries != 0
	if o.noHealth {
		if given {
			return errors.New("--no-healthcheck conflicts with --health-* options")
		}
		o.Config.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}}
		return nil
	}
	if !given {
		return nil
	}
	for _, f := range []struct {
		name     string
		negative bool
	}{
		{"interval", h.Interval < 0},
		{"timeout", h.Timeout < 0},
		{"retries", h.Retries < 0},
		{"start-period", h.StartPeriod < 0},
		{"start-interval", h.StartInterval < 0},
	} {
		if f.negative {
			return fmt.Errorf("--health-%s cannot be negative", f.name)
		}
	}
	if o.healthCommand != "" {
		h.Test = []string{"CMD-SHELL", o.healthCommand}
	}
	o.Config.Healthcheck = &h
	return nil
}
