package client

import (
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/docker/go-units"
	"github.com/jobengine/engine/client/api"
	"github.com/jobengine/engine/client/table"
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

// printInfo prints the server's part, one "key: value" a line.
func printInfo(w io.Writer, info *system.Info, debug bool) {
	line := func(label string, value any) { fmt.Fprintln(w, label, value) }
	some := func(label, value string) { // left out when empty
		if value != "" {
			line(label, value)
		}
	}
	list := func(title string, items []string) {
		if len(items) > 0 {
			fmt.Fprintln(w, title)
			for _, item := range items {
				fmt.Fprintln(w, "  "+item)
			}
		}
	}
	line(" Containers:", info.Containers)
	line("  Running:", info.ContainersRunning)
	line("  Paused:", info.ContainersPaused)
	line("  Stopped:", info.ContainersStopped)
	line(" Images:", info.Images)
	some(" Server Version:", info.ServerVersion)
	some(" Storage Driver:", info.Driver)
	for _, pair := range info.DriverStatus {
		fmt.Fprintf(w, "  %s: %s\n", pair[0], pair[1])
	}
	some(" Logging Driver:", info.LoggingDriver)
	some(" Cgroup Driver:", info.CgroupDriver)
	some(" Cgroup Version:", info.CgroupVersion)
	fmt.Fprintln(w, " Plugins:")
	line("  Volume:", strings.Join(info.Plugins.Volume, " "))
	line("  Network:", strings.Join(info.Plugins.Network, " "))
	some("  Authorization:", strings.Join(info.Plugins.Authorization, " "))
	line("  Log:", strings.Join(info.Plugins.Log, " "))
	list(" CDI spec directories:", info.CDISpecDirs)
	line(" Swarm:", info.Swarm.LocalNodeState)
	if len(info.Runtimes) > 0 {
		var names []string
		for name := range info.Runtimes {
			names = append(names, name)
		}
		sort.Strings(names)
		line(" Runtimes:", strings.Join(names, " "))
		line(" Default Runtime:", info.DefaultRuntime)
	}
	if info.OSType == "linux" {
		line(" Init Binary:", info.InitBinary)
		line(" containerd version:", info.ContainerdCommit.ID)
		line(" runc version:", info.RuncCommit.ID)
		line(" init version:", info.InitCommit.ID)
		printSecurity(w, info.SecurityOptions)
	}
	some(" Kernel Version:", info.KernelVersion)
	some(" Operating System:", info.OperatingSystem)
	some(" OSType:", info.OSType)
	some(" Architecture:", info.Architecture)
	line(" CPUs:", info.NCPU)
	line(" Total Memory:", units.BytesSize(float64(info.MemTotal)))
	some(" Name:", info.Name)
	some(" ID:", info.ID)
	line(" Docker Root Dir:", info.DockerRootDir)
	line(" Debug Mode:", info.Debug)
	if info.Debug || debug {
		line("  File Descriptors:", info.NFd)
		line("  Goroutines:", info.NGoroutines)
		line("  System Time:", info.SystemTime)
		line("  EventsListeners:", info.NEventsListener)
	}
	some(" HTTP Proxy:", info.HTTPProxy)
	some(" HTTPS Proxy:", info.HTTPSProxy)
	some(" No Proxy:", info.NoProxy)
	list(" Labels:", info.Labels)
	line(" Experimental:", info.ExperimentalBuild)
	if r := info.RegistryConfig; r != nil {
		var insecure []string
		for _, index := range r.IndexConfigs {
			if !index.Secure {
				insecure = append(insecure, index.Name)
			}
		}
		sort.Strings(insecure)
		for _, cidr := range r.InsecureRegistryCIDRs {
			insecure = append(insecure, cidr.String())
		}
		if len(insecure) > 0 || len(r.IndexConfigs) > 0 {
			fmt.Fprintln(w, " Insecure Registries:")
			for _, name := range insecure {
				fmt.Fprintln(w, "  "+name)
			}
		}
		list(" Registry Mirrors:", r.Mirrors)
	}
	line(" Live Restore Enabled:", info.LiveRestoreEnabled)
	some(" Product License:", info.ProductLicense)
	if len(info.DefaultAddressPools) > 0 {
		fmt.Fprintln(w, " Default Address Pools:")
		for _, pool := range info.DefaultAddressPools {
			fmt.Fprintf(w, "   Base: %s, Size: %d\n", pool.Base, pool.Size)
		}
	}
	if info.FirewallBackend != nil {
		line(" Firewall Backend:", info.FirewallBackend.Driver)
		for _, pair := range info.FirewallBackend.Info {
			fmt.Fprintf(w, "  %s: %s\n", pair[0], pair[1])
		}
	}
	fmt.Fprintln(w)
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
