package containers

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/containers/request"
	"github.com/jobengine/engine/jobs"
)

// requests are what a client may ask of create, as JSON, and docker's answer.
var requests = []struct{ config, host, text string }{
	{`{"WorkingDir":"rel"}`, ``, "the working directory 'rel' is invalid, it needs to be an absolute path"},
	{`{"Env":["=x"]}`, ``, "invalid environment variable: =x"},
	{`{"Env":[""]}`, ``, "invalid environment variable: "},
	{`{"StopSignal":"FOO"}`, ``, "Invalid signal: FOO"},
	{`{"Hostname":"a\nb"}`, ``, `invalid hostname: "a\nb"`},
	{`{"Domainname":"a:b"}`, ``, `invalid domainname: "a:b"`},
	{`{"User":"a\nroot:x:0"}`, ``, `invalid User: "a\nroot:x:0"`},
	{`{"Cmd":["a\u0000b"]}`, ``, "invalid Cmd: contains a NUL byte"},
	{`{"Healthcheck":{"Test":["CMD","x"],"Interval":5}}`, ``, "Interval in Healthcheck cannot be less than 1ms"},
	{`{"Volumes":{"/data":{}}}`, ``, "anonymous volume for /data: volumes do not exist yet in this version: bind a host folder with -v /host/path:/data"},
	{``, `{"AutoRemove":true,"RestartPolicy":{"Name":"always"}}`, "can't create 'AutoRemove' container with restart policy"},
	{``, `{"RestartPolicy":{"Name":"foo"}}`, "invalid restart policy 'foo'"},
	{``, `{"RestartPolicy":{"Name":"always","MaximumRetryCount":3}}`, "maximum retry count cannot be used with restart policy 'always'"},
	{``, `{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":-3}}`, "maximum retry count cannot be negative"},
	{``, `{"Memory":1000000}`, "Minimum memory limit allowed is 6MB"},
	{``, `{"MemorySwap":10000000}`, "You should always set the Memory limit when using Memoryswap limit, see usage"},
	{``, `{"Memory":10000000,"MemorySwap":5000000}`, "Minimum memoryswap limit should be larger than memory limit, see usage"},
	{``, `{"MemorySwappiness":200}`, "Invalid value: 200, valid memory swappiness range is 0-100"},
	{``, `{"CpuPeriod":1}`, "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"},
	{``, `{"CpuQuota":1}`, "CPU cfs quota can not be less than 1ms (i.e. 1000)"},
	{``, `{"NanoCpus":1000000000,"CpuPeriod":50000}`, "Conflicting options: Nano CPUs and CPU Period cannot both be set"},
	{``, `{"CpusetCpus":"x"}`, "Invalid value x for cpuset cpus: invalid format: x"},
	{``, `{"CpusetCpus":"1-2147483647"}`, "Invalid value 1-2147483647 for cpuset cpus: value of out range, maximum is 8192"},
	{``, `{"CpusetCpus":"99999999999999999999"}`, "Invalid value 99999999999999999999 for cpuset cpus: invalid format: 99999999999999999999"},
	{``, `{"CpusetCpus":"0,,1"}`, "Invalid value 0,,1 for cpuset cpus: invalid format: 0,,1"},
	{``, `{"CpusetMems":"3-1"}`, "Invalid value 3-1 for cpuset mems: invalid format: 3-1"},
	{``, `{"PidsLimit":9223372036854775807}`, "invalid PidsLimit 9223372036854775807: the kernel takes up to 4194304"},
	{``, `{"CpuShares":1}`, "invalid CPU shares (1): the minimum allowed cpu-shares is 2"},
	{``, `{"CpuShares":-1}`, "invalid CPU shares (-1): value must be a positive integer"},
	{``, `{"CpuShares":9223372036854775807}`, "invalid CPU shares (9223372036854775807): the maximum allowed cpu-shares is 262144"},
	{``, `{"CpuRealtimePeriod":-1}`, "invalid CPU real-time period (-1) or runtime (0): value must be a positive integer"},
	{``, `{"IOMaximumIOps":5}`, "Invalid QoS settings: linux does not support configuration of maximum IOPs"},
	{``, `{"IOMaximumBandwidth":5}`, "Invalid QoS settings: linux does not support configuration of maximum bandwidth"},
	{``, `{"BlkioDeviceReadBps":[null]}`, "invalid BlkioDeviceReadBps: it has no path of a device"},
	{``, `{"BlkioWeightDevice":[{"Path":""}]}`, "invalid BlkioWeightDevice: it has no path of a device"},
	{``, `{"CgroupParent":"../x"}`, `invalid cgroup parent "../x": it must not have ".."`},
	{``, `{"LogConfig":{"Type":"foo"}}`, `error looking up logging plugin foo: plugin "foo" not found`},
	{``, `{"LogConfig":{"Type":"json-file","Config":{"foo":"1"}}}`, "unknown log opt 'foo' for json-file log driver"},
	{``, `{"LogConfig":{"Type":"json-file","Config":{"max-file":"0"}}}`, "max-file cannot be less than 1"},
	{``, `{"CapAdd":["FOO"]}`, `invalid CapAdd: unknown capability: "CAP_FOO"`},
	{``, `{"CgroupnsMode":"foo"}`, "invalid cgroup namespace mode: foo"},
	{``, `{"IpcMode":"foo"}`, "invalid IPC mode: foo"},
	{``, `{"PidMode":"foo"}`, "invalid PID mode: foo"},
	{``, `{"UTSMode":"foo"}`, "invalid UTS mode: foo"},
	{``, `{"UsernsMode":"foo"}`, "invalid userns mode: foo"},
	{``, `{"ShmSize":-1}`, "SHM size can not be less than 0"},
	{``, `{"Runtime":"foo"}`, "Unknown runtime specified foo"},
	{``, `{"SecurityOpt":["foo"]}`, `invalid --security-opt 1: "foo"`},
	{``, `{"SecurityOpt":["foo=bar"]}`, `invalid --security-opt 2: "foo=bar"`},
	{``, `{"OomScoreAdj":2000}`, "Invalid value 2000, range for oom score adj is [-1000, 1000]"},
	{``, `{"ExtraHosts":["foo"]}`, `bad format for add-host: "foo"`},
	{``, `{"ExtraHosts":["a\nb:1.2.3.4"]}`, `bad format for add-host: "a\nb:1.2.3.4"`},
	{``, `{"ExtraHosts":["a:1.2.3"]}`, `invalid IP address in add-host: "1.2.3"`},
	{``, `{"ExtraHosts":["a b:1.2.3.4"]}`, `bad format for add-host: "a b:1.2.3.4"`},
	{``, `{"DnsSearch":["a\nnameserver 6.6.6.6"]}`, `invalid DNS search domain: "a\nnameserver 6.6.6.6"`},
	{``, `{"Sysctls":{"kernel.core_pattern":"x"}}`, `sysctl "kernel.core_pattern" is not in a separate kernel namespace`},
	{``, `{"Sysctls":{"kernel/core_pattern":"x"}}`, `sysctl "kernel/core_pattern" is not in a separate kernel namespace`},
	{``, `{"Sysctls":{"net/../kernel/core_pattern":"x"}}`, `invalid sysctl name "net/../kernel/core_pattern"`},
	{``, `{"Sysctls":{"net.":"x"}}`, `invalid sysctl name "net."`},
	{``, `{"Sysctls":{"net.//kernel/core_pattern":"x"}}`, `invalid sysctl name "net.//kernel/core_pattern"`},
	{``, `{"Sysctls":{"net.a\nb":"x"}}`, `invalid sysctl name "net.a\nb"`},
	{``, `{"Sysctls":{"net.core.somaxconn":"1"},"NetworkMode":"host"}`, `sysctl "net.core.somaxconn" not allowed in host network namespace`},
	{``, `{"DeviceCgroupRules":["x"]}`, "invalid device cgroup rule format: 'x'"},
	{``, `{"Binds":["/nosuch/x:rel"]}`, `invalid volume specification: '/nosuch/x:rel': invalid mount config for type "bind": invalid mount path: 'rel' mount path must be absolute`},
	{``, `{"Binds":["/tmp:/"]}`, `invalid volume specification: '/tmp:/': invalid mount config for type "bind": invalid specification: destination can't be '/'`},
	{``, `{"Binds":["/tmp:/a","/tmp:/a/"]}`, "Duplicate mount point: /a"},
	{``, `{"Binds":["/tmp:/a:foo"]}`, "invalid mode: foo"},
	{`{"WorkingDir":"/` + strings.Repeat("x", 5000) + `"}`, ``, "the working directory is invalid: longer than 4095 bytes"},
	{``, `{"Tmpfs":{"/` + strings.Repeat("x", 5000) + `":""}}`, "invalid mount path: longer than 4095 bytes"},
	{``, `{"Sysctls":{"net.x":"` + strings.Repeat("x", 5000) + `"}}`, `invalid sysctl "net.x": longer than 4095 bytes`},
	{``, `{"Binds":["/tmp:/a:ro,rw"]}`, "invalid mode: ro,rw"},
	{``, `{"Binds":[":/a"]}`, "invalid volume specification: ':/a'"},
	{``, `{"Binds":["data:/a"]}`, `volume "data": volumes do not exist yet in this version: bind a host folder with -v /host/path:/a`},
	{``, `{"Tmpfs":{"a":""}}`, "invalid mount path: 'a' mount path must be absolute"},
	{``, `{"Tmpfs":{"/a":"foo"}}`, `invalid tmpfs option ["foo"]`},
	{``, `{"Mounts":[{"Type":"bind","Source":"/nosuch","Target":"/a"}]}`, `invalid mount config for type "bind": bind source path does not exist: /nosuch`},
	{``, `{"Mounts":[{"Type":"bind","Target":"/a"}]}`, `invalid mount config for type "bind": field Source must not be empty`},
	{``, `{"Mounts":[{"Type":"foo","Source":"/tmp","Target":"/a"}]}`, `invalid mount config for type "foo": mount type unknown`},
	{``, `{"Mounts":[{"Type":"tmpfs","Source":"/tmp","Target":"/a"}]}`, `invalid mount config for type "tmpfs": field Source must not be specified`},
	{``, `{"PortBindings":{"80/sctp":[{"HostPort":"8080"}]}}`, "port 80/sctp can not be published: this version publishes tcp and udp"},
	{``, `{"PortBindings":{"80/tcp":[{"HostPort":"65536"}]}}`, `invalid port specification: "65536"`},
	{``, `{"PortBindings":{"80/tcp":[{"HostPort":"90-80"}]}}`, `invalid port specification: "90-80"`},
	{``, `{"PortBindings":{"80/tcp":[{"HostPort":"abc"}]}}`, `invalid port specification: "abc"`},
	{``, `{"VolumesFrom":["a"]}`, "VolumesFrom (--volumes-from) is not supported yet in this version"},
	{``, `{"Links":["a:b"]}`, "could not get container for a: No such container: a"},
	{``, `{"Links":["a:b:c"]}`, "bad format for links: a:b:c"},
	{``, `{"Ulimits":[{"Name":"foo","Soft":1,"Hard":2}]}`, "invalid ulimit name foo"},
}

func TestWhatCanNotBeIsRefusedInDockersWords(t *testing.T) {
	w := newWorld(t)
	for _, r := range requests {
		_, err := w.tryCreate("xx", func(in *jobs.CreateIn) {
			for text, into := range map[string]any{r.config: in.Config, r.host: in.HostConfig} {
				if text != "" {
					assert.NilError(t, json.Unmarshal([]byte(text), into))
				}
			}
		})
		if !assert.Check(t, err != nil, "%s%s is taken", r.config, r.host) {
			continue
		}
		assert.Check(t, err.Error() == r.text, "%s%s:\n got %s\nwant %s", r.config, r.host, err, r.text)
		assert.Check(t, errdefs.IsInvalidArgument(err) || errdefs.IsNotImplemented(err), "%s%s: %v has no class", r.config, r.host, err)
	}
	assert.Equal(t, len(w.List()), 0)
	assert.Equal(t, len(w.graph.layers(t)), 0)
}

func TestWhatClientsSendByDefaultIsTaken(t *testing.T) {
	// The bodies of `docker run busybox true` of the CLIs 20.10 and 28, as they come.
	for _, host := range []string{
		`{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},"NetworkMode":"default","PortBindings":{},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,"CapAdd":null,"CapDrop":null,"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":0,"ConsoleSize":[0,0],"Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":null,"BlkioDeviceWriteBps":null,"BlkioDeviceReadIOps":null,"BlkioDeviceWriteIOps":null,"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,"DeviceRequests":null,"KernelMemory":0,"KernelMemoryTCP":0,"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,"Ulimits":null,"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null}`,
		`{"NetworkMode":"default","RestartPolicy":{"Name":"no"},"PidsLimit":0,"Ulimits":[],"BlkioDeviceReadBps":[],"MemorySwappiness":-1}`,
		`{}`,
	} {
		w := newWorld(t)
		w.mustCreate(t, "xx", func(in *jobs.CreateIn) { assert.NilError(t, json.Unmarshal([]byte(host), in.HostConfig)) })
		hc := w.snapshot(t, "xx").HostConfig
		assert.Equal(t, string(hc.NetworkMode), "default")
		assert.Equal(t, hc.LogConfig.Type, "json-file")
		assert.Equal(t, hc.IpcMode, container.IPCModePrivate)
		assert.Equal(t, hc.ShmSize, int64(64<<20))
		assert.Assert(t, hc.PidsLimit == nil)
		w.mustStart(t, "xx")
	}
}

func TestNamesAreCheckedAndOwnersNamed(t *testing.T) {
	w := newWorld(t)
	for _, bad := range []string{"a", "_ab", "/a/b", "a b", "a\nb", "é1", strings.Repeat("x", 300)} {
		_, err := w.tryCreate(bad)
		assert.Error(t, err, "Invalid container name ("+bad+"), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
	}
	id := w.mustCreate(t, "/web")
	_, err := w.tryCreate("web")
	assert.Assert(t, errdefs.IsConflict(err))
	assert.Error(t, err, `Conflict. The container name "/web" is already in use by container "`+id+`". You have to remove (or rename) that container to be able to reuse that name.`)
}

func TestOnlyAMissingImageIsNotFound(t *testing.T) {
	w := newWorld(t)
	_, err := w.tryCreate("xx", func(in *jobs.CreateIn) { in.Config.Image = "nosuch" })
	assert.Error(t, err, "No such image: nosuch:latest")
	assert.Assert(t, errdefs.IsNotFound(err))
	_, err = w.tryCreate("xx", func(in *jobs.CreateIn) { in.Config = nil })
	assert.Error(t, err, "Config cannot be empty in order to create a container")
	w.images.config.Config.Cmd = nil
	_, err = w.tryCreate("xx", func(in *jobs.CreateIn) { in.Config.Cmd = nil })
	assert.Error(t, err, "No command specified")
}

func TestTheImageFillsWhatTheUserLeftOpen(t *testing.T) {
	w := newWorld(t)
	img := &w.images.config.Config
	img.Entrypoint, img.Cmd = []string{"/entry"}, []string{"default"}
	img.Env = []string{"PATH=/bin", "A=image"}
	img.Labels = map[string]string{"l": "image", "m": "image"}
	img.ExposedPorts = map[string]struct{}{"80/tcp": {}, "nonsense": {}}
	img.WorkingDir, img.User, img.StopSignal = "/w", "alice", "SIGQUIT"
	for _, row := range []struct {
		why             string
		entrypoint, cmd []string
		words           string
	}{
		{"nothing said", nil, nil, "/entry default"},
		{"a command keeps the entry point", nil, []string{"mine"}, "/entry mine"},
		{"an entry point drops the command", []string{"/mine"}, nil, "/mine"},
		{"both", []string{"/mine"}, []string{"x"}, "/mine x"},
		{"an empty entry point is none", []string{""}, []string{"x"}, "x"},
	} {
		id := w.mustCreate(t, "", func(in *jobs.CreateIn) {
			in.Config.Entrypoint, in.Config.Cmd = row.entrypoint, row.cmd
			in.Config.Env = []string{"A=user"}
			in.Config.Labels = map[string]string{"l": "user"}
		})
		s := w.snapshot(t, id)
		assert.Equal(t, strings.Join(append([]string{s.Path}, s.Args...), " "), row.words, row.why)
		assert.DeepEqual(t, s.Config.Env, []string{"A=user", "PATH=/bin"})
		assert.DeepEqual(t, s.Config.Labels, map[string]string{"l": "user", "m": "image"})
		assert.Equal(t, len(s.Config.ExposedPorts), 1)
		assert.Equal(t, s.Config.WorkingDir+s.Config.User+s.Config.StopSignal, "/walice"+"SIGQUIT")
		assert.Assert(t, request.ValidName(s.Name), s.Name)
		assert.Equal(t, s.Config.Hostname, id[:12])
	}
}
