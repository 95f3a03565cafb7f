package exectest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/execdriver"
)

// RootFS makes a root file system of the host's static busybox. The test is
// skipped where there is none.
func RootFS(t testing.TB) string {
	t.Helper()
	const busybox = "/bin/busybox"
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Skipf("needs Debian's busybox-static: %v", err)
	}
	root := filepath.Join(t.TempDir(), "rootfs")
	for _, dir := range []string{"bin", "dev", "etc", "proc", "sys", "tmp", "root", "run"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	must(t, os.Chmod(filepath.Join(root, "tmp"), 0o1777))
	must(t, os.WriteFile(filepath.Join(root, busybox), program, 0o755))
	for _, name := range []string{
		"sh", "true", "false", "sleep", "cat", "ls", "env", "id", "echo", "grep", "ps", "kill", "stty", "tty", "yes",
		"head", "seq", "readlink", "dd", "usleep", "test", "hostname", "mount", "touch", "pwd", "chmod", "wc", "tail",
	} {
		must(t, os.Symlink("busybox", filepath.Join(root, "bin", name)))
	}
	must(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(root, "etc/group"), []byte("root:x:0:\nnogroup:x:65534:\n"), 0o644))
	return root
}

// Capabilities are the 14 that docker gives to a container.
func Capabilities() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
	}
}

// Spec is a container as docker makes them, without a network and without
// seccomp, that runs args in rootfs.
func Spec(rootfs string, args ...string) *specs.Spec {
	caps := Capabilities()
	deny := specs.LinuxDeviceCgroup{Allow: false, Access: "rwm"}
	return &specs.Spec{
		Version:  specs.Version,
		Root:     &specs.Root{Path: rootfs},
		Hostname: "box",
		Process: &specs.Process{
			Args: args,
			Cwd:  "/",
			Env:  []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"},
			Capabilities: &specs.LinuxCapabilities{
				Bounding: caps, Effective: caps, Permitted: caps,
			},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		},
		Linux: &specs.Linux{
			CgroupsPath: cgroupsPath(),
			Resources:   &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{deny}},
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.MountNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.UTSNamespace},
				{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace},
			},
			MaskedPaths: []string{
				"/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
				"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
			},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

// WriteBundle makes an OCI bundle of spec in dir.
func WriteBundle(t testing.TB, dir string, spec *specs.Spec) execdriver.Bundle {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	text, err := json.Marshal(spec)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600))
	return execdriver.Bundle{Dir: dir, Spec: spec}
}

// cgroupsPath is a group for one container. EXECTEST_SLICE asks for scopes of
// systemd in that slice.
func cgroupsPath() string {
	if slice := os.Getenv("EXECTEST_SLICE"); slice != "" {
		return slice + ":exectest:" + unique()
	}
	return "/engine-test-" + unique()
}

// unique is a name that no other test of this or another process uses.
func unique() string {
	return strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
}

// Script is a command line that runs lines in the shell of host and busybox alike.
func Script(lines ...string) []string {
	return []string{"/bin/sh", "-c", strings.Join(lines, "\n")}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
