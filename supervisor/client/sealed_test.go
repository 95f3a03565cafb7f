package client_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/supervisor/client"
)

// TestSealedSupervisor: it runs from memory that nobody can write to, under its
// own name, and starts containers.
func TestSealedSupervisor(t *testing.T) {
	b := newBench(t)
	b.end()
	binary, err := os.ReadFile("/proc/self/exe")
	assert.NilError(t, err)
	path, keep, err := client.SealedCommand(binary)
	assert.NilError(t, err)
	defer keep.Close()
	_, err = keep.WriteAt([]byte("x"), 0)
	assert.Assert(t, err != nil)

	b.connectWith(func() (*exec.Cmd, error) { return exec.Command(path), nil })
	for range 2 { // the second one after a crash
		pid := b.Hello().Pid
		exe, err := os.Open(fmt.Sprintf("/proc/%d/exe", pid))
		assert.NilError(t, err)
		seals, err := unix.FcntlInt(exe.Fd(), unix.F_GET_SEALS, 0)
		exe.Close()
		assert.NilError(t, err)
		const all = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
		assert.Equal(t, seals&all, all)
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		assert.NilError(t, err)
		assert.Equal(t, strings.TrimSpace(string(comm)), "engine-supervis")
		for _, driver := range []string{"fake", "native"} {
			if driver == "native" && os.Geteuid() != 0 {
				continue
			}
			id := fmt.Sprint(driver, pid)
			b.run(b.request(id, driver), exectest.Script("exit 3")...)
			assert.Equal(t, b.exit(id, "").ExitCode, 3)
		}
		b.kill()
		_, err = b.List(b.ctx)
		assert.NilError(t, err)
	}
}
