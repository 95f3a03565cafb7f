package runconfig

import (
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
)

// The parsers take what a user typed or a file holds: nothing may make them
// panic, and what they accept must be usable.

func FuzzPublish(f *testing.F) {
	for _, s := range []string{"80", "8080:80/udp", "[::1]:1-2:1-2", "target=80,published=81", "1:2:3:4", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		exposed, bound, err := ports([]string{s}, nil)
		if err != nil {
			return
		}
		for p := range bound {
			if _, ok := exposed[p]; !ok || !p.IsValid() {
				t.Errorf("%q: port %v is published but not exposed", s, p)
			}
		}
	})
}

func FuzzMount(f *testing.F) {
	for _, s := range []string{"type=bind,src=/a,dst=/b,ro", "type=tmpfs,dst=/x,tmpfs-mode=1777", `"a,b"=c`, "dst=/b,volume-opt=a=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parseMount(s)
		if err == nil && m.Target == "" {
			t.Errorf("%q: accepted without a target", s)
		}
		_ = mounts{&[]mount.Mount{m}}.String()
	})
}

func FuzzEnvFile(f *testing.F) {
	for _, s := range []string{"A=1\n", "\uFEFFA=1", "# x\n\n  B\n", "A=\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lines, err := readPairs(strings.NewReader(s), nil)
		if err != nil {
			return
		}
		for _, line := range lines {
			name, _, ok := strings.Cut(line, "=")
			if !ok || name == "" || strings.ContainsAny(name, " \t") {
				t.Errorf("%q: gave %q", s, line)
			}
		}
	})
}

func FuzzNetwork(f *testing.F) {
	for _, s := range []string{"host", "name=a,alias=b,ip=1.2.3.4", "gw-priority=1", "a=b,driver-opt=c=d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAttachment(s)
		if err == nil {
			a.settings()
		}
	})
}

func FuzzVolume(f *testing.F) {
	for _, s := range []string{"/a:/b", "/a", "a:b:ro", "c:/x:/y", "::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if text, _, err := splitVolume(s); err == nil && text == "" {
			t.Errorf("%q: accepted as nothing", s)
		}
	})
}

func FuzzSmallValues(f *testing.F) {
	for _, s := range []string{"/dev/null:/dev/x:rw", "c 1:3 rwm", "/dev/sda:1mb", "device=1,count=2", "a=b", "1.5", "nofile=1:2", "h:1.2.3.4", "on-failure:3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parseDevice(s)
		checkDeviceRule(s)
		splitDevice(s)
		gpus{&[]container.DeviceRequest{}}.Set(s)
		checkLabel(s)
		checkDomain(s)
		checkExtraHost(s)
		checkSysctl(s)
		parseRestart(s)
		var n int64
		cpus{&n}.Set(s)
		amount{n: &n}.Set(s)
		ulimits{map[string]*container.Ulimit{}}.Set(s)
	})
}
