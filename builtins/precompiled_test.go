//go:build seccomp && cgo

package builtins_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	runc "github.com/opencontainers/runc/libcontainer/seccomp"
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/internal/caps"
)

const compiledFolder = "../internal/libseccomp/compiled"

// capabilitySets are the sets whose filter of the default profile we carry.
// Most capabilities make no difference to the profile.
var capabilitySets = map[string][]string{
	"default":             caps.Default(),
	"none":                {},
	"default, SYS_ADMIN":  append(caps.Default(), "CAP_SYS_ADMIN"),
	"default, SYS_PTRACE": append(caps.Default(), "CAP_SYS_PTRACE"),
	"default, SYS_NICE":   append(caps.Default(), "CAP_SYS_NICE"),
}

// The filters that we carry are those that libcontainer would have libseccomp
// compile. Each set runs in a process of its own, which ends just before the
// filter would be loaded.
func TestPrecompiledFiltersAreWhatLibseccompCompiles(t *testing.T) {
	if name := os.Getenv("ENGINE_TEST_CAPABILITIES"); name != "" {
		exportFilter(name)
	}
	update := flag.Lookup("update").Value.String() == "true" // gotest.tools' flag
	wanted := map[string]bool{"README.md": true}
	for name := range capabilitySets {
		out := filepath.Join(t.TempDir(), "bpf")
		cmd := exec.Command(os.Args[0], "-test.run=^TestPrecompiledFilters")
		cmd.Env = append(os.Environ(), "ENGINE_TEST_CAPABILITIES="+name, "ENGINE_TEST_OUT="+out)
		said, err := cmd.CombinedOutput()
		assert.NilError(t, err, "%s", said)
		key, carried, ok := strings.Cut(strings.TrimSpace(string(said)), " ")
		assert.Assert(t, ok, "%s", said)
		fresh, err := os.ReadFile(out)
		assert.NilError(t, err)
		file := filepath.Join(compiledFolder, runtime.GOARCH+"-"+key+".bpf")
		wanted[filepath.Base(file)] = true
		if update {
			assert.NilError(t, os.WriteFile(file, fresh, 0o644))
			continue
		}
		if carried != "carried=true" {
			t.Errorf("the filter for the capabilities %q is not carried (go test -tags seccomp -run Precompiled ./builtins -update)", name)
			continue
		}
		have, err := os.ReadFile(file)
		assert.NilError(t, err)
		if !bytes.Equal(have, fresh) {
			t.Errorf("%s is not what libseccomp compiles today for the capabilities %q", file, name)
		}
	}
	files, err := os.ReadDir(compiledFolder)
	assert.NilError(t, err)
	for _, f := range files {
		if !wanted[f.Name()] && strings.HasPrefix(f.Name(), runtime.GOARCH+"-") {
			if update {
				assert.NilError(t, os.Remove(filepath.Join(compiledFolder, f.Name())))
			} else {
				t.Errorf("%s is carried and nothing uses it", f.Name())
			}
		}
	}
}

// exportFilter is the child: it makes libcontainer set up the filter, prints
// its key, writes what libseccomp compiles, and exits before it is loaded.
func exportFilter(name string) {
	fail := func(err error) {
		fmt.Println(err)
		os.Exit(1)
	}
	profile, err := spec.DefaultSeccomp(&specs.Spec{Process: &specs.Process{
		Capabilities: &specs.LinuxCapabilities{Bounding: capabilitySets[name]},
	}})
	if err != nil {
		fail(err)
	}
	config, err := specconv.SetupSeccomp(profile)
	if err != nil {
		fail(err)
	}
	libseccomp.OnExport = func(f *libseccomp.ScmpFilter, key string, carried bool) {
		fresh, err := f.Compile()
		if err == nil {
			err = os.WriteFile(os.Getenv("ENGINE_TEST_OUT"), fresh, 0o600)
		}
		if err != nil {
			fail(err)
		}
		fmt.Printf("%s carried=%t\n", key, carried)
		os.Exit(0)
	}
	_, err = runc.InitSeccomp(config)
	fail(fmt.Errorf("the filter was not exported: %v", err))
}
