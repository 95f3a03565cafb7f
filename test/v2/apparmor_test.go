//go:build v2

package v2

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// Debian's kernel has AppArmor: a container runs under the engine's profile unless it says otherwise.
func TestContainersAreConfinedByAppArmor(t *testing.T) {
	if text, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err != nil || text[0] != 'Y' {
		t.Skip("this kernel has no AppArmor")
	}
	if _, err := exec.LookPath("apparmor_parser"); err != nil {
		t.Skip("needs the package apparmor")
	}
	const show = "cat /proc/self/attr/current"
	confined := "engine-default (enforce)"
	assert.Assert(t, strings.Contains(engine(t, "info", "-f", "{{.SecurityOptions}}"), "name=apparmor"))
	assert.Assert(t, !strings.Contains(engine(t, "info", "-f", "{{.Warnings}}"), "AppArmor"))
	for want, flags := range map[string][]string{
		confined:     {},
		"unconfined": {"--security-opt", "apparmor=unconfined"},
	} {
		assert.Equal(t, engine(t, append(append([]string{"run", "--rm"}, flags...), "busybox", "sh", "-c", show)...), want)
	}
	assert.Equal(t, engine(t, "run", "--rm", "--privileged", "busybox", "sh", "-c", show), "unconfined")
	assert.Equal(t, engine(t, "run", "--rm", "--privileged", "--security-opt", "apparmor=engine-default", "busybox", "sh", "-c", show), confined)

	engine(t, "run", "-d", "--name", "web", "--init", "--cap-add", "SYS_ADMIN", "busybox", "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done")
	defer engine(t, "rm", "-f", "web")
	assert.Equal(t, inspect(t, "web", "{{.AppArmorProfile}}"), "engine-default")
	assert.Equal(t, engine(t, "exec", "web", "sh", "-c", show), confined)
	assert.Equal(t, engine(t, "exec", "--privileged", "web", "sh", "-c", show), "unconfined")
	// What the profile forbids to one who has the capability for it; and what it must not forbid.
	_, text, code := try("engine", "exec", "web", "mount", "-t", "tmpfs", "x", "/tmp")
	assert.Assert(t, code != 0 && strings.Contains(text, "denied"), text)
	assert.Equal(t, engine(t, "exec", "web", "sh", "-c", "sleep 100 & kill $! && echo killed"), "killed")
	engine(t, "stop", "web")
	assert.Equal(t, inspect(t, "web", "{{.State.ExitCode}}"), "5")

	// Somebody unloads it; the next start loads it again.
	must(t, "sh", "-c", "printf engine-default >/sys/kernel/security/apparmor/.remove")
	engine(t, "start", "web")
	assert.Equal(t, engine(t, "exec", "web", "sh", "-c", show), confined)

	_, text, code = try("engine", "run", "--rm", "--security-opt", "apparmor=nosuch", "busybox", "true")
	assert.Assert(t, code != 0 && strings.Contains(strings.ToLower(text), "apparmor"), "%d %s", code, text)
	assert.Equal(t, engine(t, "run", "--rm", "--runtime", "oci", "busybox", "sh", "-c", show), confined)
}
