package request

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/containers/spec"
)

// onVersion are rules on a host with that version of cgroups.
func onVersion(version int) *Rules {
	r := &Rules{}
	r.Host.Cgroup.Version = version
	return r
}

func refused(t *testing.T, err error, text string) {
	t.Helper()
	assert.ErrorContains(t, err, text)
	assert.Assert(t, errdefs.IsInvalidArgument(err), "%v is a mistake of the client's", err)
}

func TestUnusableSeccompProfilesAreRefused(t *testing.T) {
	for profile, text := range map[string]string{
		`{`:                               "Decoding seccomp profile failed: unexpected end of JSON input",
		`[]`:                              "Decoding seccomp profile failed: json: cannot unmarshal array",
		`"x"`:                             "Decoding seccomp profile failed",
		`{"defaultAction":1}`:             "Decoding seccomp profile failed",
		`{"defaultAction":"SCMP_ACT_NO"}`: "string SCMP_ACT_NO is not a valid action for seccomp",
		`{"syscalls":[{"names":["chmod"],"action":"SCMP_ACT_ALLOW"}]}`:                                                                          "string  is not a valid action",
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["chmod"],"action":"SCMP_ACT_NO"}]}`:                                            "SCMP_ACT_NO",
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["chmod"],"action":"SCMP_ACT_NO","includes":{"caps":["CAP_SYS_ADMIN"]}}]}`:      "SCMP_ACT_NO", // though it holds for others only
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["chmod"],"name":"chown","action":"SCMP_ACT_ALLOW"}]}`:                          "both 'name' and 'names'",
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[null]}`:                                                                                  "a rule is null",
		`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_NO"]}`:                                                                   "string SCMP_ARCH_NO is not a valid arch for seccomp",
		`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}`:                  "both 'architectures' and 'archMap'",
		`{"defaultAction":"SCMP_ACT_ALLOW","flags":["NO"]}`:                                                                                     `flag "NO" is not known`,
		`{"defaultAction":"SCMP_ACT_NOTIFY"}`:                                                                                                   "needs a listenerPath",
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["chmod"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"op":"SCMP_CMP_NO"}]}]}`: "string SCMP_CMP_NO is not a valid operator for seccomp",
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["chmod"],"action":"SCMP_ACT_ERRNO","args":[{"index":6,"op":"SCMP_CMP_EQ"}]}]}`: "no argument 6",
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["chmod"],"action":"SCMP_ACT_ERRNO","includes":{"minKernel":"x"}}]}`:            "",
	} {
		refused(t, onVersion(1).checkSecurity(&container.HostConfig{SecurityOpt: []string{"seccomp=" + profile}}), text)
	}
	for _, profile := range []string{
		"unconfined", "builtin", `{}`, `{"defaultAction":"SCMP_ACT_ALLOW","more":1}`,
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["nosuchcall"],"action":"SCMP_ACT_ERRNO"}]}`,
	} {
		assert.NilError(t, onVersion(1).checkSecurity(&container.HostConfig{SecurityOpt: []string{"seccomp=" + profile}}), profile)
	}
}

func TestUnknownSecurityOptionsAreRefused(t *testing.T) {
	for opt, text := range map[string]string{
		"nosuch": `invalid --security-opt 1: "nosuch"`, "": `invalid --security-opt 1: ""`,
		"nosuch=x": `invalid --security-opt 2: "nosuch=x"`, "nosuch:x": `invalid --security-opt 2: "nosuch:x"`, "=x": `invalid --security-opt 2: "=x"`,
		"no-new-privileges=maybe": `invalid --security-opt 2: "no-new-privileges=maybe"`, "no-new-privileges:": `invalid --security-opt 2`,
		"writable-cgroups=x": `invalid --security-opt 2`, "systempaths=unconfined": `invalid --security-opt 2`, // the client makes lists of paths of it
	} {
		refused(t, onVersion(2).checkSecurity(&container.HostConfig{SecurityOpt: []string{opt}}), text)
	}
}

func TestWritableCgroupsNeedVersion2AndANamespace(t *testing.T) {
	for _, c := range []struct {
		version    int
		mode       container.CgroupnsMode
		opt        string
		privileged bool
		text       string
	}{
		{1, "", "writable-cgroups", false, "needs cgroup version 2"},
		{1, "private", "writable-cgroups=true", false, "needs cgroup version 2"},
		{1, "", "writable-cgroups=false", false, ""},
		{1, "", "writable-cgroups=true", true, ""}, // it may anyway
		{2, "host", "writable-cgroups=1", false, "needs a private cgroup namespace"},
		{2, "", "writable-cgroups=1", false, ""},
		{2, "private", "writable-cgroups", false, ""},
	} {
		err := onVersion(c.version).checkSecurity(&container.HostConfig{CgroupnsMode: c.mode, SecurityOpt: []string{c.opt}, Privileged: c.privileged})
		if c.text == "" {
			assert.NilError(t, err, "%+v", c)
		} else {
			refused(t, err, c.text)
		}
	}
	hostByDefault := onVersion(2)
	hostByDefault.Defaults = spec.Defaults{CgroupnsMode: "host"}
	refused(t, hostByDefault.checkSecurity(&container.HostConfig{SecurityOpt: []string{"writable-cgroups"}}), "needs a private cgroup namespace")
}

func TestDevicesGroupsAndAnnotationsAreChecked(t *testing.T) {
	device := func(host, inside, access string) *container.HostConfig {
		return &container.HostConfig{Resources: container.Resources{Devices: []container.DeviceMapping{{PathOnHost: host, PathInContainer: inside, CgroupPermissions: access}}}}
	}
	rule := func(text string) *container.HostConfig {
		return &container.HostConfig{Resources: container.Resources{DeviceCgroupRules: []string{text}}}
	}
	for _, c := range []struct {
		hc   *container.HostConfig
		text string
	}{
		{device("/dev/null", "/dev/x", "xyz"), "invalid device mode: xyz"},
		{device("/dev/null", "/dev/x", "rwmr"), "invalid device mode: rwmr"},
		{device("", "/dev/x", "rwm"), `invalid device mapping: ""`},
		{device("null", "/dev/x", "rwm"), `invalid device mapping: "null"`},
		{device("/dev/null", "relative", "rwm"), `invalid device mapping: "relative"`},
		{device("/dev/null", "/dev/\x00", "rwm"), "invalid device mapping"},
		{device("/dev/null", "/"+strings.Repeat("x", 5000), "rwm"), "invalid device mapping"},
		{device("/dev/null", "/dev/../", "rwm"), `there can be no device at "/dev/../"`},
		{rule("nosuch"), "invalid device cgroup rule format: 'nosuch'"},
		{rule("c 99999999999:3 rwm"), "invalid device cgroup rule format"},
		{&container.HostConfig{GroupAdd: make([]string, maxGroups+1)}, "65537 groups, and a process can have 65536"},
		{&container.HostConfig{GroupAdd: []string{"a\nb"}}, "invalid GroupAdd"},
		{&container.HostConfig{GroupAdd: []string{"a:b"}}, "invalid GroupAdd"},
		{&container.HostConfig{Annotations: map[string]string{"": "x"}}, "invalid Annotations: the empty string is not permitted as an annotation key"},
	} {
		refused(t, onVersion(1).checkSecurity(c.hc), c.text)
	}
	for _, hc := range []*container.HostConfig{
		device("/dev/null", "", ""), device("/dev/null", "/dev/x", "m"), device("/dev", "/dev", "rwm"), rule("a *:* rwm"), rule("c 1:3 r"),
	} {
		assert.NilError(t, onVersion(1).checkSecurity(hc))
	}
}

func TestOptionsWithoutEffectAreToldInAWarning(t *testing.T) {
	hc := &container.HostConfig{
		SecurityOpt: []string{"apparmor=mine", "label=type:some_t", "label=disable"},
		Annotations: map[string]string{"a.b": "c", "org.systemd.property.ExecStopPost": "x", "run.oci.hooks": "y"},
	}
	assert.DeepEqual(t, onVersion(1).Unapplied(hc), []string{
		"AppArmor is not enabled on this host: the profile mine has no effect.",
		"This engine sets no SELinux labels: type:some_t has no effect.",
		"The annotation org.systemd.property.ExecStopPost is kept, but not handed to the runtime, which would take it for an order.",
		"The annotation run.oci.hooks is kept, but not handed to the runtime, which would take it for an order.",
	})
	assert.Equal(t, len(onVersion(1).Unapplied(&container.HostConfig{SecurityOpt: []string{"apparmor=unconfined", "label=disable"}})), 0)
}
