package client

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/jobengine/engine/client/api"
	"github.com/jobengine/engine/client/table"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/api/types/system"
)

type clientInfo struct {
	Debug bool
	clientVersion
	Plugins  []any
	Warnings []string
}

// infoData is what info's templates and JSON see.
type infoData struct {
	*system.Info `json:",omitempty"`
	ServerErrors []string    `json:",omitempty"`
	UserName     string      `json:"-"`
	ClientInfo   *clientInfo `json:",omitempty"`
	ClientErrors []string    `json:",omitempty"`
}

// CmdInfo prints what there is and how the daemon is set up.
func (System) CmdInfo(c *Cmd, args ...string) error {
	c.Describe("info [OPTIONS]", "Display system-wide information", "system info").Common(11)
	format := objectFormat(c.Flags(), "f")
	if _, err := c.Parse(args, NoArgs); err != nil {
		return err
	}
	data := infoData{
		Info:       &system.Info{},
		ClientInfo: &clientInfo{clientVersion: c.ownVersion(), Debug: c.globals.debug, Plugins: []any{}},
	}
	var lost error
	if err := c.API().Get(c.Context(), "/info", nil, data.Info); err != nil {
		var connection *api.ConnectionError
		var refusal *api.Error
		switch {
		case errors.As(err, &connection):
			lost = err
		case errors.As(err, &refusal):
			data.ServerErrors = append(data.ServerErrors, err.Error())
			if *format != "" {
				fmt.Fprintln(c.Err, err)
			}
		default:
			return err
		}
		if *format == "" {
			data.Info = nil
		}
	}
	if *format != "" {
		text := *format
		if text == "json" {
			text = "{{json .}}"
		}
		tmpl, err := table.Parse(text)
		if err != nil {
			return &StatusError{Code: 64, Text: "template parsing error: " + err.Error()}
		}
		err = tmpl.Execute(c.Out, data)
		c.println()
		return errors.Join(lost, err)
	}
	c.println("Client:")
	c.println(" Version:   ", data.ClientInfo.Version)
	c.println(" Context:   ", data.ClientInfo.Context)
	c.println(" Debug Mode:", data.ClientInfo.Debug)
	c.println()
	c.println("Server:")
	if data.Info != nil {
		printInfo(c.Out, data.Info, c.globals.debug)
		for _, w := range data.Warnings {
			fmt.Fprintln(c.Err, w)
		}
	}
	for _, e := range data.ServerErrors {
		fmt.Fprintln(c.Err, "ERROR:", e)
	}
	if len(data.ServerErrors) > 0 {
		return errors.New("errors pretty printing info")
	}
	return lost
}

// infoPrinter prints one "key: value" a line.
type infoPrinter struct{ io.Writer }

func (p infoPrinter) line(label string, value any) { fmt.Fprintln(p, label, value) }

// some is line for what is left out when empty.
func (p infoPrinter) some(label, value string) {
	if value != "" {
		p.line(label, value)
	}
}

func (p infoPrinter) list(title string, items []string) {
	if len(items) > 0 {
		fmt.Fprintln(p, title)
		for _, item := range items {
			fmt.Fprintln(p, "  "+item)
		}
	}
}

func (p infoPrinter) pairs(list [][2]string) {
	for _, pair := range list {
		fmt.Fprintf(p, "  %s: %s\n", pair[0], pair[1])
	}
}

// printInfo prints the server's part.
func printInfo(w io.Writer, info *system.Info, debug bool) {
	p := infoPrinter{w}
	p.stores(info)
	p.runtimes(info)
	p.host(info)
	p.line(" Docker Root Dir:", info.DockerRootDir)
	p.line(" Debug Mode:", info.Debug)
	if info.Debug || debug {
		p.line("  File Descriptors:", info.NFd)
		p.line("  Goroutines:", info.NGoroutines)
		p.line("  System Time:", info.SystemTime)
		p.line("  EventsListeners:", info.NEventsListener)
	}
	p.some(" HTTP Proxy:", info.HTTPProxy)
	p.some(" HTTPS Proxy:", info.HTTPSProxy)
	p.some(" No Proxy:", info.NoProxy)
	p.list(" Labels:", info.Labels)
	p.line(" Experimental:", info.ExperimentalBuild)
	p.registries(info.RegistryConfig)
	p.line(" Live Restore Enabled:", info.LiveRestoreEnabled)
	p.some(" Product License:", info.ProductLicense)
	p.networks(info)
	fmt.Fprintln(w)
}

func (p infoPrinter) stores(info *system.Info) {
	p.line(" Containers:", info.Containers)
	p.line("  Running:", info.ContainersRunning)
	p.line("  Paused:", info.ContainersPaused)
	p.line("  Stopped:", info.ContainersStopped)
	p.line(" Images:", info.Images)
	p.some(" Server Version:", info.ServerVersion)
	p.some(" Storage Driver:", info.Driver)
	p.pairs(info.DriverStatus)
	p.some(" Logging Driver:", info.LoggingDriver)
	p.some(" Cgroup Driver:", info.CgroupDriver)
	p.some(" Cgroup Version:", info.CgroupVersion)
	fmt.Fprintln(p, " Plugins:")
	p.line("  Volume:", strings.Join(info.Plugins.Volume, " "))
	p.line("  Network:", strings.Join(info.Plugins.Network, " "))
	p.some("  Authorization:", strings.Join(info.Plugins.Authorization, " "))
	p.line("  Log:", strings.Join(info.Plugins.Log, " "))
	p.list(" CDI spec directories:", info.CDISpecDirs)
	p.line(" Swarm:", info.Swarm.LocalNodeState)
}

func (p infoPrinter) runtimes(info *system.Info) {
	if len(info.Runtimes) > 0 {
		p.line(" Runtimes:", strings.Join(slices.Sorted(maps.Keys(info.Runtimes)), " "))
		p.line(" Default Runtime:", info.DefaultRuntime)
	}
	if info.OSType == "linux" {
		p.line(" Init Binary:", info.InitBinary)
		p.line(" containerd version:", info.ContainerdCommit.ID)
		p.line(" runc version:", info.RuncCommit.ID)
		p.line(" init version:", info.InitCommit.ID)
		printSecurity(p, info.SecurityOptions)
	}
}

func (p infoPrinter) host(info *system.Info) {
	p.some(" Kernel Version:", info.KernelVersion)
	p.some(" Operating System:", info.OperatingSystem)
	p.some(" OSType:", info.OSType)
	p.some(" Architecture:", info.Architecture)
	p.line(" CPUs:", info.NCPU)
	p.line(" Total Memory:", units.BytesSize(float64(info.MemTotal)))
	p.some(" Name:", info.Name)
	p.some(" ID:", info.ID)
}

func (p infoPrinter) registries(r *registry.ServiceConfig) {
	if r == nil {
		return
	}
	var insecure []string
	for _, index := range r.IndexConfigs {
		if !index.Secure {
			insecure = append(insecure, index.Name)
		}
	}
	slices.Sort(insecure)
	for _, cidr := range r.InsecureRegistryCIDRs {
		insecure = append(insecure, cidr.String())
	}
	if len(insecure) == 0 && len(r.IndexConfigs) > 0 {
		fmt.Fprintln(p, " Insecure Registries:") // there are registries, and all are secure
	}
	p.list(" Insecure Registries:", insecure)
	p.list(" Registry Mirrors:", r.Mirrors)
}

func (p infoPrinter) networks(info *system.Info) {
	if len(info.DefaultAddressPools) > 0 {
		fmt.Fprintln(p, " Default Address Pools:")
		for _, pool := range info.DefaultAddressPools {
			fmt.Fprintf(p, "   Base: %s, Size: %d\n", pool.Base, pool.Size)
		}
	}
	if info.FirewallBackend != nil {
		p.line(" Firewall Backend:", info.FirewallBackend.Driver)
		p.pairs(info.FirewallBackend.Info)
	}
}

// printSecurity prints options of the form name=seccomp,profile=builtin.
func printSecurity(w io.Writer, options []string) {
	if len(options) == 0 {
		return
	}
	fmt.Fprintln(w, " Security Options:")
	for _, option := range options {
		var name, profile string
		for _, field := range strings.Split(option, ",") {
			switch k, v, ok := strings.Cut(field, "="); {
			case !ok:
				name = field // daemons before 1.13
			case k == "name":
				name = v
			case k == "profile":
				profile = v
			}
		}
		fmt.Fprintln(w, "  "+name)
		if profile != "" {
			fmt.Fprintln(w, "   Profile:", profile)
		}
	}
}
