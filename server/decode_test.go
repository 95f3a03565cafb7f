package server

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// startCreate serves create and exec create, and keeps what they were given.
func startCreate(t *testing.T, got *jobs.CreateIn, gotExec *jobs.ExecCreateIn) *testDaemon {
	return start(t, Options{}, func(eng *engine.Engine) {
		jobs.Create.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.CreateIn) (jobs.CreateOut, error) {
			*got = in
			return jobs.CreateOut{CreateResponse: container.CreateResponse{ID: "abc"}}, nil
		})
		jobs.ExecCreate.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.ExecCreateIn) (jobs.ExecCreateOut, error) {
			*gotExec = in
			return jobs.ExecCreateOut{ExecCreateResponse: container.ExecCreateResponse{ID: "def"}}, nil
		})
	})
}

func TestBodiesThatAreNotJSONObjectsAreRefused(t *testing.T) {
	var in jobs.CreateIn
	var ex jobs.ExecCreateIn
	d := startCreate(t, &in, &ex)
	const create, exec = "/containers/create", "/containers/web/exec"
	for _, row := range []struct{ path, kind, body, want string }{
		{create, "application/json", ``, "config cannot be empty in order to create a container"},
		{create, "", ``, "config cannot be empty in order to create a container"},
		{create, "application/json", `null`, "config cannot be empty in order to create a container"},
		{create, "application/json", `{}`, "config cannot be empty in order to create a container"},
		{create, "application/json", `{"HostConfig":{}}`, "config cannot be empty in order to create a container"},
		{create, "application/json", `{"Image":"a"} x`, "unexpected content after JSON"},
		{create, "application/json", `{"Image":"a"}{}`, "unexpected content after JSON"},
		{create, "application/json", `{"Image":`, "invalid JSON: unexpected EOF"},
		{create, "application/json", `[]`, "invalid JSON: a JSON array is not possible here"},
		{create, "application/json", `{"Image":3}`, "invalid JSON: field Image: a JSON number is not possible here"},
		{create, "application/json", `{"HostConfig":{"Memory":"big"}}`, "invalid JSON: field HostConfig.Memory: a JSON string is not possible here"},
		{create, "application/json", `{"HostConfig":{"Memory":1e400}}`, "invalid JSON: field HostConfig.Memory: a JSON number 1e400 is not possible here"},
		{create, "application/json", `{"Cmd":{"a":1}}`, "invalid JSON: field Cmd: want a string or a list of strings"},
		{create, "application/json", `{"HostConfig":{"Dns":["x"]}}`, `invalid JSON: field HostConfig.Dns: ParseAddr("x"): unable to parse IP`},
		{create, "application/json", `{"ExposedPorts":{"x/tcp":{}}}`, "invalid JSON: field ExposedPorts: invalid port 'x': invalid syntax"},
		{create, "application/json", `{"NetworkingConfig":{"EndpointsConfig":{"n":{"MacAddress":"x"}}}}`, "invalid JSON: field NetworkingConfig.EndpointsConfig.n.MacAddress: address x: invalid MAC address"},
		{create, "application/json", "\x00", `invalid JSON: invalid character '\x00' looking for beginning of value`},
		{create, "text/plain", `{"Image":"a"}`, "unsupported Content-Type header (text/plain): must be 'application/json'"},
		{create, "", `{"Image":"a"}`, "unsupported Content-Type header (): must be 'application/json'"},
		{exec, "application/json", ``, "invalid JSON: got EOF while reading request body"},
		{exec, "application/json", `{}`, "No exec command specified"},
		{exec, "application/json", `{"Cmd":[]}`, "No exec command specified"},
	} {
		a := d.do("POST", row.path, row.body, "Content-Type", row.kind)
		assert.Equal(t, a.StatusCode, 400, "%s", row.body)
		assert.Equal(t, a.message(), row.want, "%s", row.body)
	}
	for _, kind := range []string{"application/json; charset=utf-8", "Application/JSON"} {
		a := d.do("POST", create, `{"Image":"a"}`+" \n ", "Content-Type", kind)
		assert.Equal(t, a.StatusCode, 201, kind)
		assert.Equal(t, a.body, `{"Id":"abc","Warnings":[]}`+"\n")
	}
}

func TestJSONBodiesHaveALimit(t *testing.T) {
	var in jobs.CreateIn
	var ex jobs.ExecCreateIn
	d := startCreate(t, &in, &ex)
	big := strings.Repeat("x", maxBody)
	a := d.postJSON("/containers/create", `{"Image":"`+big+`"}`)
	assert.Equal(t, a.StatusCode, 413)
	a = d.postJSON("/containers/create", `{"Image":"x"}`+strings.Repeat(" ", maxBody))
	assert.Equal(t, a.StatusCode, 413)
	a = d.postJSON("/containers/create", strings.Repeat(`{"a":`, 20000))
	assert.Equal(t, a.StatusCode, 400)
	assert.Equal(t, d.get("/_ping").StatusCode, 200)
}

func TestCommandsMayBeStringsAndUnknownFieldsAreIgnored(t *testing.T) {
	var in jobs.CreateIn
	var ex jobs.ExecCreateIn
	d := startCreate(t, &in, &ex)
	a := d.postJSON("/containers/create?name=web&platform=linux/amd64", `{"Cmd":"echo","Entrypoint":"sh","Colour":"red","HostConfig":{"Colour":1}}`)
	assert.Equal(t, a.StatusCode, 201)
	assert.DeepEqual(t, in.Config.Cmd, []string{"echo"})
	assert.DeepEqual(t, in.Config.Entrypoint, []string{"sh"})
	assert.Equal(t, in.Name+" "+in.Platform, "web linux/amd64")
	d.postJSON("/containers/create", `{"Image":"x","Cmd":null,"Entrypoint":[]}`)
	assert.Check(t, in.Config.Cmd == nil && in.Config.Entrypoint != nil)
	assert.Check(t, in.HostConfig != nil)
	d.postJSON("/v1.40/containers/create?platform=linux/arm64", `{"Image":"x"}`)
	assert.Equal(t, in.Platform, "")

	a = d.postJSON("/containers/web/exec", `{"Cmd":"ls","Tty":true,"ConsoleSize":[1,2],"Env":["A=b"],"WorkingDir":"/","User":"u"}`)
	assert.Equal(t, a.StatusCode, 201)
	assert.Equal(t, a.body, `{"Id":"def"}`+"\n")
	assert.DeepEqual(t, ex, jobs.ExecCreateIn{Container: "web", ExecCreateRequest: container.ExecCreateRequest{
		Cmd: []string{"ls"}, Tty: true, ConsoleSize: &[2]uint{1, 2}, Env: []string{"A=b"}, WorkingDir: "/", User: "u",
	}})
	d.postJSON("/v1.34/containers/web/exec", `{"Cmd":["ls"],"ConsoleSize":[1,2],"Env":["A=b"],"WorkingDir":"/"}`)
	assert.DeepEqual(t, ex.ExecCreateRequest, container.ExecCreateRequest{Cmd: []string{"ls"}, Env: []string{"A=b"}})
}

// What docker 20.10 sends for `run -it -p 8080:80 -p 127.0.0.1::53/udp --dns
// 1.1.1.1 --mac-address … busybox sh`, shortened by fields of the same kinds.
const bodyOf2010 = `{"Hostname":"","Domainname":"","User":"","AttachStdin":true,"AttachStdout":true,"AttachStderr":true,
"ExposedPorts":{"80":{},"53/udp":{}},"Tty":true,"OpenStdin":true,"StdinOnce":true,"Env":["A=b"],"Cmd":["sh"],"Image":"busybox",
"Volumes":{},"WorkingDir":"","Entrypoint":null,"MacAddress":"02:42:ac:11:00:02","OnBuild":null,"Labels":{},
"HostConfig":{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},"NetworkMode":"default",
"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}],"53/udp":[{"HostIp":"127.0.0.1","HostPort":""}]},
"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,
"CapAdd":null,"CapDrop":null,"CgroupnsMode":"","Dns":["1.1.1.1"],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,
"GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,
"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":0,
"ConsoleSize":[50,100],"Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,
"BlkioWeightDevice":[],"Devices":[],"DeviceCgroupRules":null,"DeviceRequests":null,"KernelMemory":0,"KernelMemoryTCP":0,
"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,"Ulimits":null,"MaskedPaths":null,"ReadonlyPaths":null},
"NetworkingConfig":{"EndpointsConfig":{"default":{"IPAMConfig":null,"Links":null,"Aliases":null,"NetworkID":"",
"EndpointID":"","Gateway":"","IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"",
"GlobalIPv6PrefixLen":0,"MacAddress":"","DriverOpts":null}}}}`

func TestTheBodiesOfOldAndNewClientsAreUnderstood(t *testing.T) {
	var in jobs.CreateIn
	var ex jobs.ExecCreateIn
	d := startCreate(t, &in, &ex)
	a := d.postJSON("/v1.41/containers/create", bodyOf2010)
	assert.Equal(t, a.StatusCode, 201, a.body)
	assert.DeepEqual(t, in.Config.ExposedPorts, network.PortSet{network.MustParsePort("80/tcp"): {}, network.MustParsePort("53/udp"): {}}, portsEqual)
	assert.DeepEqual(t, in.HostConfig.DNS, []netip.Addr{netip.MustParseAddr("1.1.1.1")}, addrsEqual)
	assert.Equal(t, in.HostConfig.PortBindings[network.MustParsePort("80/tcp")][0].HostPort, "8080")
	assert.Check(t, !in.HostConfig.PortBindings[network.MustParsePort("80/tcp")][0].HostIP.IsValid())
	assert.Equal(t, in.HostConfig.ConsoleSize, [2]uint{}) // it means something since 1.42
	assert.Check(t, in.HostConfig.PidsLimit == nil)
	assert.Equal(t, in.NetworkingConfig.EndpointsConfig["default"].MacAddress.String(), "02:42:ac:11:00:02")

	// The newest client's, by the types that it is made with.
	body, err := json.Marshal(container.CreateRequest{
		Config:           &container.Config{Image: "busybox", Cmd: []string{"sh"}, ExposedPorts: network.PortSet{network.MustParsePort("80/tcp"): {}}},
		HostConfig:       &container.HostConfig{ConsoleSize: [2]uint{50, 100}, DNS: []netip.Addr{netip.MustParseAddr("1.1.1.1")}},
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"n": {IPAddress: netip.MustParseAddr("10.0.0.1")}}},
	})
	assert.NilError(t, err)
	a = d.postJSON("/v1.56/containers/create", string(body))
	assert.Equal(t, a.StatusCode, 201, a.body)
	assert.Equal(t, in.HostConfig.ConsoleSize, [2]uint{50, 100})
	assert.Equal(t, in.NetworkingConfig.EndpointsConfig["n"].IPAddress.String(), "10.0.0.1")
}

func TestAStartWithABodyIsRefused(t *testing.T) {
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Start.Register(eng, func(context.Context, *engine.Job, jobs.StartIn) (jobs.StartOut, error) { return jobs.StartOut{}, nil })
	})
	a := d.postJSON("/v1.41/containers/web/start", `{"Binds":["/:/host"]}`)
	assert.Equal(t, a.StatusCode, 400)
	assert.Equal(t, a.message(), "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24")
	assert.Equal(t, d.postJSON("/v1.41/containers/web/start", `{}`).StatusCode, 204)
	assert.Equal(t, d.do("POST", "/containers/web/start", "").StatusCode, 204)
}
