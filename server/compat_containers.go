package server

import (
	"net/netip"
	"slices"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/storage"

	"github.com/jobengine/engine/jobs"
)

// absent hides a field of an embedded struct from JSON.
type absent *struct{}

// containersFor gives the rows of a list of containers in a version's shape.
func containersFor(v apiVersion, rows []container.Summary) any {
	if !v.before(52) {
		return list(rows)
	}
	old := make([]summaryBefore52, len(rows))
	for i := range rows {
		old[i] = summaryBefore52{Summary: &rows[i], Ports: portsBefore52(rows[i].Ports)}
		if n := rows[i].NetworkSettings; n != nil {
			old[i].NetworkSettings = &networksBefore48{endpointsFor(v, n.Networks)}
		}
		if v.before(46) {
			rows[i].HostConfig.Annotations = nil
		}
	}
	return old
}

type summaryBefore52 struct {
	*container.Summary
	Ports           []portBefore52
	Health          absent `json:",omitempty"`
	NetworkSettings *networksBefore48
}

type networksBefore48 struct{ Networks any }

// endpointsFor gives the endpoints of a container in a version's shape.
func endpointsFor(v apiVersion, endpoints map[string]*network.EndpointSettings) any {
	if !v.before(48) {
		return endpoints
	}
	old := make(map[string]endpointBefore48, len(endpoints))
	for name, ep := range endpoints {
		old[name] = endpointBefore48{EndpointSettings: ep}
		if ep != nil && !v.before(45) {
			old[name] = endpointBefore48{EndpointSettings: ep, DNSNames: &ep.DNSNames}
		}
	}
	return old
}

type endpointBefore48 struct {
	*network.EndpointSettings
	GwPriority absent    `json:",omitempty"`
	DNSNames   *[]string `json:",omitempty"` // since 1.45
}

// portBefore52 leaves the address out where a port is not published.
type portBefore52 struct {
	IP          string `json:",omitempty"`
	PrivatePort uint16
	PublicPort  uint16 `json:",omitempty"`
	Type        string
}

func portsBefore52(ports []container.PortSummary) []portBefore52 {
	old := make([]portBefore52, len(ports))
	for i, p := range ports {
		old[i] = portBefore52{PrivatePort: p.PrivatePort, PublicPort: p.PublicPort, Type: p.Type}
		if p.IP.IsValid() {
			old[i].IP = p.IP.String()
		}
	}
	return old
}

// containerFor gives the inspection of a container in a version's shape.
func containerFor(v apiVersion, out *jobs.ContainerInspectOut) any {
	c := &out.InspectResponse
	if !v.before(52) {
		return c
	}
	if v.before(45) {
		addShortNames(c)
	}
	old := inspectBefore52{
		InspectResponse: c,
		GraphDriver:     c.GraphDriver,
		Config:          configBefore52For(v, out),
		HostConfig:      hostConfigFor(v, c.HostConfig),
		NetworkSettings: settingsBefore52(v, c.NetworkSettings),
	}
	if old.GraphDriver == nil {
		old.GraphDriver = &storage.DriverData{Name: c.Driver}
	}
	return old
}

type inspectBefore52 struct {
	*container.InspectResponse
	GraphDriver     *storage.DriverData
	Storage         absent `json:",omitempty"`
	Config          *configBefore52
	HostConfig      any
	NetworkSettings *networkSettingsBefore52
}

type configBefore52 struct {
	*container.Config
	MacAddress string `json:",omitempty"`
	OnBuild    []string
}

func configBefore52For(v apiVersion, c *jobs.ContainerInspectOut) *configBefore52 {
	if c.Config == nil {
		return nil
	}
	old := &configBefore52{Config: c.Config, OnBuild: c.Config.OnBuild}
	if v.before(44) {
		old.MacAddress = c.MacAddress.String()
	}
	return old
}

// addShortNames: before 1.45 had DNSNames the aliases on networks of users included what is always resolved.
func addShortNames(c *container.InspectResponse) {
	if c.NetworkSettings == nil || c.Config == nil {
		return
	}
	for name, ep := range c.NetworkSettings.Networks {
		if ep == nil || !container.NetworkMode(name).IsUserDefined() {
			continue
		}
		for _, alias := range []string{c.ID[:min(12, len(c.ID))], c.Config.Hostname} {
			if alias != "" && !slices.Contains(ep.Aliases, alias) {
				ep.Aliases = append(slices.Clone(ep.Aliases), alias)
			}
		}
	}
}

// hostConfigBefore42 has limits that the kernel no longer keeps.
type hostConfigBefore42 struct {
	*container.HostConfig
	KernelMemory    int64
	KernelMemoryTCP int64
}

func hostConfigFor(v apiVersion, hc *container.HostConfig) any {
	if hc == nil || !v.before(42) {
		return hc
	}
	return hostConfigBefore42{HostConfig: hc}
}

// networkSettingsBefore52 repeats the default network's endpoint at the top.
type networkSettingsBefore52 struct {
	Bridge                 string
	SandboxID              string
	SandboxKey             string
	Ports                  network.PortMap
	HairpinMode            bool
	LinkLocalIPv6Address   string
	LinkLocalIPv6PrefixLen int
	SecondaryIPAddresses   []struct{}
	SecondaryIPv6Addresses []struct{}
	EndpointID             string
	Gateway                netip.Addr
	GlobalIPv6Address      netip.Addr
	GlobalIPv6PrefixLen    int
	IPAddress              netip.Addr
	IPPrefixLen            int
	IPv6Gateway            netip.Addr
	MacAddress             network.HardwareAddr
	Networks               any
}

func settingsBefore52(v apiVersion, n *container.NetworkSettings) *networkSettingsBefore52 {
	if n == nil {
		return nil
	}
	old := &networkSettingsBefore52{SandboxID: n.SandboxID, SandboxKey: n.SandboxKey, Ports: n.Ports, Networks: endpointsFor(v, n.Networks)}
	if ep := n.Networks[network.NetworkBridge]; ep != nil {
		old.EndpointID, old.MacAddress = ep.EndpointID, ep.MacAddress
		old.Gateway, old.IPAddress, old.IPPrefixLen = ep.Gateway, ep.IPAddress, ep.IPPrefixLen
		old.IPv6Gateway, old.GlobalIPv6Address, old.GlobalIPv6PrefixLen = ep.IPv6Gateway, ep.GlobalIPv6Address, ep.GlobalIPv6PrefixLen
	}
	return old
}

// waitFor gives the answer of wait in a version's shape: an Error that may be
// null before 1.42, and none at all before 1.30.
func waitFor(v apiVersion, out container.WaitResponse) any {
	switch {
	case v.before(30):
		return struct{ StatusCode int64 }{out.StatusCode}
	case v.before(42):
		return struct {
			Error      *container.WaitExitError
			StatusCode int64
		}{out.Error, out.StatusCode}
	}
	return out
}
