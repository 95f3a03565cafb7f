package server

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/api/types/storage"
	"github.com/moby/moby/api/types/system"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/jobs"
)

// at gives what an answer has at a dotted path, as JSON, "-" if nothing.
func at(t *testing.T, v any, path string) string {
	t.Helper()
	data, err := json.Marshal(v)
	assert.NilError(t, err)
	for key := range strings.SplitSeq(path, ".") {
		if key == "0" {
			var items []json.RawMessage
			assert.NilError(t, json.Unmarshal(data, &items))
			data = items[0]
			continue
		}
		var object map[string]json.RawMessage
		assert.NilError(t, json.Unmarshal(data, &object), path)
		var ok bool
		if data, ok = object[key]; !ok {
			return "-"
		}
	}
	return string(data)
}

// shape says what a field is up to a version and from it on.
type shape struct {
	path   string
	from   int
	before string
	after  string
}

func checkShapes(t *testing.T, shapes []shape, make func(v apiVersion) any) {
	t.Helper()
	for _, s := range shapes {
		for _, v := range []int{24, 41, s.from - 1} {
			if v < s.from {
				assert.Equal(t, at(t, make(apiVersion(v)), s.path), s.before, "%s in 1.%d", s.path, v)
			}
		}
		for _, v := range []int{s.from, 56} {
			assert.Equal(t, at(t, make(apiVersion(v)), s.path), s.after, "%s in 1.%d", s.path, v)
		}
	}
}

func TestContainerInspectionsHaveTheirVersionsShape(t *testing.T) {
	checkShapes(t, []shape{
		{"Id", 52, `"abc"`, `"abc"`},
		{"GraphDriver", 52, `{"Data":null,"Name":"overlay2"}`, "-"},
		{"Storage", 52, "-", `{}`},
		{"NetworkSettings.IPAddress", 52, `"10.0.0.2"`, "-"},
		{"NetworkSettings.IPPrefixLen", 52, `16`, "-"},
		{"NetworkSettings.MacAddress", 52, `"02:42:ac:11:00:02"`, "-"},
		{"NetworkSettings.Gateway", 52, `""`, "-"},
		{"NetworkSettings.Bridge", 52, `""`, "-"},
		{"NetworkSettings.HairpinMode", 52, `false`, "-"},
		{"NetworkSettings.SecondaryIPAddresses", 52, `null`, "-"},
		{"NetworkSettings.Networks.bridge.IPAddress", 52, `"10.0.0.2"`, `"10.0.0.2"`},
		{"NetworkSettings.Networks.bridge.GwPriority", 48, "-", `0`},
		{"NetworkSettings.Networks.bridge.DNSNames", 45, "-", `["web"]`},
		{"Config.OnBuild", 52, `null`, "-"},
		{"NetworkSettings.Networks.mine.Aliases", 45, `["web","abc","box"]`, `["web"]`},
		{"NetworkSettings.Networks.bridge.Aliases", 45, `null`, `null`},
		{"Config.MacAddress", 44, `"aa:00:00:00:00:01"`, "-"},
		{"Config.Image", 52, `"busybox"`, `"busybox"`},
		{"HostConfig.KernelMemory", 42, `0`, "-"},
		{"HostConfig.KernelMemoryTCP", 42, `0`, "-"},
		{"HostConfig.Memory", 42, `5`, `5`},
	}, func(v apiVersion) any {
		hc := &container.HostConfig{NetworkMode: "bridge"}
		hc.Memory = 5
		return containerFor(v, &jobs.ContainerInspectOut{MacAddress: network.HardwareAddr{0xaa, 0, 0, 0, 0, 1}, InspectResponse: container.InspectResponse{
			ID: "abc", Driver: "overlay2", Storage: &storage.Storage{}, HostConfig: hc,
			Config: &container.Config{Image: "busybox", Hostname: "box"},
			NetworkSettings: &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{"bridge": {
				IPAddress: netip.MustParseAddr("10.0.0.2"), IPPrefixLen: 16, DNSNames: []string{"web"},
				MacAddress: network.HardwareAddr{2, 0x42, 0xac, 0x11, 0, 2},
			}, "mine": {Aliases: []string{"web"}}}},
		}})
	})
	// Damaged records have less.
	for _, v := range []apiVersion{41, 56} {
		_, err := json.Marshal(containerFor(v, &jobs.ContainerInspectOut{}))
		assert.NilError(t, err)
		_, err = json.Marshal(containersFor(v, []container.Summary{{}}))
		assert.NilError(t, err)
	}
}

func TestListsOfContainersHaveTheirVersionsShape(t *testing.T) {
	checkShapes(t, []shape{
		{"0.Health", 52, "-", `{"Status":"healthy","FailingStreak":0}`},
		{"0.HostConfig.Annotations", 46, "-", `{"a":"b"}`},
		{"0.HostConfig.NetworkMode", 46, `"none"`, `"none"`},
		{"0.Ports", 52, `[{"PrivatePort":80,"Type":"tcp"}]`, `[{"IP":"","PrivatePort":80,"Type":"tcp"}]`},
		{"0.NetworkSettings.Networks.none.GwPriority", 48, "-", `0`},
	}, func(v apiVersion) any {
		row := container.Summary{Health: &container.HealthSummary{Status: "healthy"}, Ports: []container.PortSummary{{PrivatePort: 80, Type: "tcp"}}}
		row.HostConfig.NetworkMode = "none"
		row.HostConfig.Annotations = map[string]string{"a": "b"}
		row.NetworkSettings = &container.NetworkSettingsSummary{Networks: map[string]*network.EndpointSettings{"none": {}}}
		return containersFor(v, []container.Summary{row})
	})
	published := []container.PortSummary{{IP: netip.MustParseAddr("::"), PrivatePort: 80, PublicPort: 8080, Type: "tcp"}}
	assert.Equal(t, at(t, containersFor(41, []container.Summary{{Ports: published}}), "0.Ports"), `[{"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}]`)
	for _, v := range []apiVersion{41, 56} {
		data, _ := json.Marshal(containersFor(v, nil))
		assert.Equal(t, string(data), "[]")
	}
}

func TestListsOfImagesHaveTheirVersionsShape(t *testing.T) {
	checkShapes(t, []shape{
		{"0.RepoTags", 43, `["\u003cnone\u003e:\u003cnone\u003e"]`, `[]`},
		{"0.RepoDigests", 43, `["\u003cnone\u003e@\u003cnone\u003e"]`, `[]`},
		{"0.VirtualSize", 44, `7`, "-"},
		{"0.Size", 44, `7`, `7`},
		{"0.Manifests", 47, "-", `[{"ID":"","Descriptor":{"mediaType":"","digest":"","size":0},"Available":false,"Size":{"Content":0,"Total":0},"Kind":""}]`},
		{"0.Descriptor", 48, "-", `{"mediaType":"","digest":"","size":0}`},
		{"0.Containers", 51, `-1`, `3`},
	}, func(v apiVersion) any {
		return imagesFor(v, []image.Summary{{Size: 7, Containers: 3, RepoTags: []string{}, RepoDigests: []string{}, Manifests: []image.ManifestSummary{{}}, Descriptor: &ocispec.Descriptor{}}})
	})
	data, _ := json.Marshal(imagesFor(41, []image.Summary{{RepoTags: []string{"a:b"}}}))
	assert.Check(t, !strings.Contains(string(data), "none"))
}

func TestImageInspectionsHaveTheirVersionsShape(t *testing.T) {
	checkShapes(t, []shape{
		{"VirtualSize", 44, `7`, "-"},
		{"Container", 45, `"c0ffee"`, "-"},
		{"ContainerConfig.Cmd", 45, `["sh"]`, "-"},
		{"ContainerConfig.OnBuild", 45, `["x"]`, "-"},
		{"Created", 44, `"0001-01-01T00:00:00Z"`, "-"},
		{"Descriptor", 48, "-", `{"mediaType":"","digest":"","size":0}`},
		{"Config.Hostname", 50, `""`, "-"},
		{"Config.AttachStdin", 50, `false`, "-"},
		{"Config.Image", 50, `""`, "-"},
		{"Config.Entrypoint", 52, `null`, "-"},
		{"Config.Cmd", 52, `["sh"]`, `["sh"]`},
		{"Config.Labels", 52, `null`, "-"},
		{"Parent", 52, `"sha256:1"`, `"sha256:1"`},
		{"Comment", 52, `""`, "-"},
		{"Author", 52, `""`, "-"},
		{"DockerVersion", 52, `"20.10"`, `"20.10"`},
		{"Identity", 53, "-", `{}`},
		{"Id", 52, `"sha256:2"`, `"sha256:2"`},
	}, func(v apiVersion) any {
		out := jobs.ImageInspectOut{ParentID: "sha256:1", DockerVersion: "20.10", Container: "c0ffee"}
		out.ContainerConfig = &container.Config{Cmd: []string{"sh"}, OnBuild: []string{"x"}}
		out.ID, out.Size = "sha256:2", 7
		out.Descriptor, out.Identity = &ocispec.Descriptor{}, &image.Identity{}
		out.Config = &dockerspec.DockerOCIImageConfig{ImageConfig: ocispec.ImageConfig{Cmd: []string{"sh"}}}
		return imageFor(v, &out)
	})
	assert.Equal(t, at(t, imageFor(41, &jobs.ImageInspectOut{}), "Config.User"), `""`)
	// What no builder of old has made has none of its traces.
	checkShapes(t, []shape{
		{"Parent", 52, `""`, "-"},
		{"DockerVersion", 52, `""`, "-"},
		{"Container", 45, `""`, "-"},
		{"ContainerConfig.Cmd", 45, `null`, "-"},
	}, func(v apiVersion) any { return imageFor(v, &jobs.ImageInspectOut{}) })
}

func TestNetworksHaveTheirVersionsShape(t *testing.T) {
	checkShapes(t, []shape{
		{"0.Containers", 52, `{}`, "-"},
		{"0.EnableIPv4", 48, "-", `true`},
		{"0.Name", 52, `"none"`, `"none"`},
	}, func(v apiVersion) any {
		return networksFor(v, []network.Summary{{Network: network.Network{Name: "none", EnableIPv4: true}}})
	})
	checkShapes(t, []shape{
		{"Containers", 52, `{}`, `{}`},
		{"EnableIPv4", 48, "-", `true`},
		{"Status", 52, "-", `{"IPAM":{}}`},
	}, func(v apiVersion) any {
		return networkFor(v, &network.Inspect{Network: network.Network{EnableIPv4: true}, Status: &network.Status{}})
	})
}

func TestRequestsOfNetworksMeanWhatTheyMeantInTheirVersion(t *testing.T) {
	no := false
	checkShapes(t, []shape{
		{"EnableIPv4", 48, "-", "false"},
		{"EnableIPv6", 48, "false", "false"},
		{"Name", 48, `"n"`, `"n"`},
	}, func(v apiVersion) any {
		in := &network.CreateRequest{Name: "n", EnableIPv4: &no, EnableIPv6: &no}
		networkCreateFrom(v, in)
		return in
	})
	checkShapes(t, []shape{
		{"EndpointConfig.GwPriority", 48, "0", "5"},
		{"EndpointConfig.MacAddress", 44, `""`, `"aa:00:00:00:00:01"`},
		{"EndpointConfig.Aliases", 44, `["a"]`, `["a"]`},
	}, func(v apiVersion) any {
		in := &network.ConnectRequest{Container: "c", EndpointConfig: &network.EndpointSettings{
			GwPriority: 5, MacAddress: network.HardwareAddr{0xaa, 0, 0, 0, 0, 1}, Aliases: []string{"a"},
		}}
		connectFrom(v, in)
		return in
	})
	in := &network.ConnectRequest{Container: "c"}
	connectFrom(41, in) // of a client that says nothing of the endpoint
	assert.Check(t, in.EndpointConfig == nil)
}

func TestInfoHasItsVersionsShape(t *testing.T) {
	checkShapes(t, []shape{
		{"KernelMemory", 42, `true`, "-"},
		{"CDISpecDirs", 44, "-", `["/etc/cdi"]`},
		{"RuncCommit", 49, `{"ID":"c0ffee","Expected":"c0ffee"}`, `{"ID":"c0ffee"}`},
		{"RegistryConfig.AllowNondistributableArtifactsCIDRs", 49, `null`, "-"},
		{"RegistryConfig.Mirrors", 49, `["m"]`, `["m"]`},
		{"BridgeNfIptables", 50, `true`, "-"},
		{"MemoryLimit", 50, `true`, `true`},
	}, func(v apiVersion) any {
		return infoFor(v, &system.Info{
			MemoryLimit: true, CgroupVersion: "1", RuncCommit: system.Commit{ID: "c0ffee"},
			CDISpecDirs: []string{"/etc/cdi"}, RegistryConfig: &registry.ServiceConfig{Mirrors: []string{"m"}},
		})
	})
}

func TestCreateRequestsMeanWhatTheyMeantInTheirVersion(t *testing.T) {
	limit, umask := int64(-1), uint32(18)
	make := func(v apiVersion) any {
		in := jobs.CreateIn{
			Config: &container.Config{Healthcheck: &container.HealthConfig{StartInterval: 5}},
			HostConfig: &container.HostConfig{
				AutoRemove: true, ConsoleSize: [2]uint{1, 2}, Annotations: map[string]string{"a": "b"}, Umask: &umask,
				Mounts: []mount.Mount{{
					BindOptions:  &mount.BindOptions{NonRecursive: true, CreateMountpoint: true, ReadOnlyNonRecursive: true},
					TmpfsOptions: &mount.TmpfsOptions{Options: [][]string{{"noexec"}}},
				}},
			},
		}
		in.HostConfig.PidsLimit = &limit
		_, err := createFrom(v, &in, "")
		assert.NilError(t, err)
		return in
	}
	checkShapes(t, []shape{
		{"HostConfig.AutoRemove", 25, `false`, `true`},
		{"HostConfig.IpcMode", 40, `"shareable"`, `""`},
		{"HostConfig.ConsoleSize", 42, `[0,0]`, `[1,2]`},
		{"HostConfig.Annotations", 43, "-", `{"a":"b"}`},
		{"HostConfig.Umask", 56, "-", `18`},
		{"HostConfig.PidsLimit", 56, `null`, `null`},
		{"Config.Healthcheck.StartInterval", 44, "-", `5`},
		{"HostConfig.Mounts.0.BindOptions.NonRecursive", 40, "-", `true`},
		{"HostConfig.Mounts.0.BindOptions.CreateMountpoint", 42, "-", `true`},
		{"HostConfig.Mounts.0.BindOptions.ReadOnlyNonRecursive", 44, "-", `true`},
		{"HostConfig.Mounts.0.TmpfsOptions.Options", 46, "-", `[["noexec"]]`},
	}, make)
}

func TestWhatAVersionDoesNotHaveIsRefusedWhereItMatters(t *testing.T) {
	for want, row := range map[string]struct {
		until int
		in    jobs.CreateIn
	}{
		"Container cannot be connected to network endpoints: a, b": {43, jobs.CreateIn{
			NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"b": {}, "a": {}}}}},
		"BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer": {43, jobs.CreateIn{
			HostConfig: &container.HostConfig{Mounts: []mount.Mount{{BindOptions: &mount.BindOptions{ReadOnlyForceRecursive: true}}}}}},
		"VolumeOptions.Subpath needs API v1.45 or newer": {44, jobs.CreateIn{
			HostConfig: &container.HostConfig{Mounts: []mount.Mount{{VolumeOptions: &mount.VolumeOptions{Subpath: "x"}}}}}},
		`mount type "image" needs API v1.48 or newer`: {47, jobs.CreateIn{
			HostConfig: &container.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeImage}}}}},
	} {
		row.in.Config = &container.Config{}
		if row.in.HostConfig == nil {
			row.in.HostConfig = &container.HostConfig{}
		}
		_, err := createFrom(apiVersion(row.until), &row.in, "")
		assert.Error(t, err, want)
		assert.Equal(t, status(err), 400)
		_, err = createFrom(apiVersion(row.until+1), &row.in, "")
		assert.NilError(t, err)
	}
}

func TestTheAddressOfAContainerMovesToItsMainNetwork(t *testing.T) {
	const mac, other = "02:42:ac:11:00:02", "02:42:ac:11:00:03"
	create := func(v apiVersion, mode container.NetworkMode, mac, endpointMac string) (got string, warnings int, err error) {
		in := jobs.CreateIn{Config: &container.Config{}, HostConfig: &container.HostConfig{NetworkMode: mode}}
		if endpointMac != "" {
			var hw network.HardwareAddr
			assert.NilError(t, hw.UnmarshalText([]byte(endpointMac)))
			in.NetworkingConfig = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{string(mode): {MacAddress: hw}}}
		}
		w, err := createFrom(v, &in, mac)
		name := string(mode)
		if name == "" {
			name = "default"
		}
		if in.NetworkingConfig != nil {
			got = in.NetworkingConfig.EndpointsConfig[name].MacAddress.String()
		}
		return got, len(w), err
	}
	for _, row := range []struct {
		v             apiVersion
		mode          container.NetworkMode
		mac, endpoint string
		want          string
		warnings      int
		err           string
	}{
		{43, "", mac, "", mac, 0, ""},
		{43, "n", mac, other, mac, 0, ""},
		{43, "n", "", other, "", 0, ""},
		{44, "n", mac, "", mac, 1, ""},
		{44, "n", mac, mac, mac, 1, ""},
		{44, "n", mac, other, other, 0, "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty"},
		{51, "n", "", other, other, 0, ""},
		{52, "n", mac, other, other, 0, ""},
		{52, "n", "garbage", "", "", 0, ""},
		{43, "n", "garbage", "", "", 0, "MacAddress: address garbage: invalid MAC address"},
		{43, "host", mac, "", "", 0, "conflicting options: mac-address and the network mode"},
		{43, "container:x", mac, "", "", 0, "conflicting options: mac-address and the network mode"},
		{43, "none", mac, "", "", 0, ""},
	} {
		got, warnings, err := create(row.v, row.mode, row.mac, row.endpoint)
		if row.err != "" {
			assert.Error(t, err, row.err)
			continue
		}
		assert.NilError(t, err)
		assert.Equal(t, got, row.want, "%+v", row)
		assert.Equal(t, warnings, row.warnings, "%+v", row)
	}
}
