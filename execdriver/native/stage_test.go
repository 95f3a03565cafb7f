package native

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// TestASignalWaitsForTheProgram: a process whose name is that of libcontainer's
// stage is waited for until it has another one, and not for ever.
func TestASignalWaitsForTheProgram(t *testing.T) {
	begin := time.Now()
	awaitProgram(os.Getpid())
	awaitProgram(1 << 30) // nobody
	assert.Assert(t, time.Since(begin) < stagePatience)

	cmd := exec.Command("sh", "-c", "printf 'runc:[2:INIT]' >/proc/$$/comm; echo set; read a; printf done >/proc/$$/comm; read a")
	in, err := cmd.StdinPipe()
	assert.NilError(t, err)
	out, err := cmd.StdoutPipe()
	assert.NilError(t, err)
	assert.NilError(t, cmd.Start())
	defer cmd.Wait()
	defer in.Close()
	_, err = out.Read(make([]byte, 4))
	assert.NilError(t, err)
	begin = time.Now()
	awaitProgram(cmd.Process.Pid)
	assert.Assert(t, time.Since(begin) >= stagePatience)
	time.AfterFunc(stagePatience/10, func() { in.Write([]byte("\n")) })
	for range 50 { // patience may end while this machine is busy
		awaitProgram(cmd.Process.Pid)
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid))
	assert.NilError(t, err)
	assert.Equal(t, string(comm), "done\n")
}
