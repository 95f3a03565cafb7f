package containers

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/jobs"
)

// newExecWorld has a running container "ada".
func newExecWorld(t *testing.T) (*world, *screens, string) {
	t.Helper()
	w, r := newStreamsWorld(t)
	id := w.mustCreate(t, "ada", func(in *jobs.CreateIn) { in.Config.Env = []string{"A=1", "B=2"} })
	w.mustStart(t, "ada")
	return w, r, id
}

func (w *world) mustExec(t *testing.T, change ...func(*container.ExecCreateRequest)) string {
	t.Helper()
	in := jobs.ExecCreateIn{Container: "ada"}
	in.Cmd = []string{"sh", "-c", "ls"}
	in.AttachStdin, in.AttachStdout, in.AttachStderr = true, true, true
	for _, f := range change {
		f(&in.ExecCreateRequest)
	}
	out, err := jobs.ExecCreate.Run(t.Context(), w.eng, in)
	assert.NilError(t, err)
	return out.ID
}

func (w *world) execState(t *testing.T, id string) container.ExecInspectResponse {
	t.Helper()
	out, err := jobs.ExecInspect.Run(t.Context(), w.eng, jobs.ExecInspectIn{Exec: id})
	assert.NilError(t, err)
	return out.ExecInspectResponse
}

// awaitExec waits until an exec runs.
func (w *world) awaitExec(t *testing.T, id string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !w.execState(t, id).Running; time.Sleep(time.Millisecond) {
		assert.Assert(t, time.Now().Before(deadline))
	}
}

func TestExecGivesAllOutputAndTheExitCodeAfterwards(t *testing.T) {
	noLeak(t)
	w, r, id := newExecWorld(t)
	x := w.mustExec(t)
	before := w.execState(t, x)
	assert.Assert(t, !before.Running && before.ExitCode == nil && before.Pid == 0)
	cl := w.execClient(jobs.ExecStartIn{Exec: x})
	cl.awaitOpen(t)
	p := r.exec(id)
	w.awaitExec(t, x)
	during := w.execState(t, x)
	assert.Assert(t, during.Running && during.ExitCode == nil && during.Pid == 4711)
	io.WriteString(cl.stdin, "typed")
	assert.Equal(t, readFrom(t, p.stdin, 5), "typed")
	cl.stdin.Close()
	rest, err := io.ReadAll(p.stdin) // the client's end is its own
	assert.NilError(t, err)
	assert.Equal(t, string(rest), "")
	io.WriteString(p.stdout, "out")
	io.WriteString(p.stderr, "err")
	r.execExit(id, 7)
	assert.NilError(t, cl.result(t))
	assert.Equal(t, cl.stdout(), "out")
	assert.Equal(t, cl.stderr(), "err")
	after := w.execState(t, x)
	assert.Assert(t, !after.Running)
	assert.Equal(t, *after.ExitCode, 7)
	assert.DeepEqual(t, w.heard.all()[2:], []string{"exec_create: sh -c ls", "exec_start: sh -c ls", "exec_die exitCode=7"})
	r.end(id, 0)
}

func TestExecHasTheContainersEnvironmentAndItsOwn(t *testing.T) {
	w, r, id := newExecWorld(t)
	x := w.mustExec(t, func(q *container.ExecCreateRequest) {
		q.Env, q.User, q.WorkingDir = []string{"B=3", "C=4"}, "alice", "/tmp"
	})
	cl := w.execClient(jobs.ExecStartIn{Exec: x})
	p := r.exec(id).process
	env := strings.Join(p.Env, " ")
	for _, want := range []string{"A=1", "B=3", "C=4", "HOME=/home/alice", "PATH=/bin"} {
		assert.Assert(t, strings.Contains(env, want), env)
	}
	assert.Equal(t, p.User.UID, uint32(1000))
	assert.Equal(t, p.Cwd, "/tmp")
	r.execExit(id, 0)
	assert.NilError(t, cl.result(t))
}

func TestExecRunsOnce(t *testing.T) {
	w, r, id := newExecWorld(t)
	x := w.mustExec(t)
	cl := w.execClient(jobs.ExecStartIn{Exec: x})
	r.exec(id)
	err := w.execClient(jobs.ExecStartIn{Exec: x}).result(t)
	assert.Error(t, err, "Error: Exec command "+x+" is already running")
	assert.Assert(t, errdefs.IsConflict(err))
	r.execExit(id, 0)
	assert.NilError(t, cl.result(t))
	err = w.execClient(jobs.ExecStartIn{Exec: x}).result(t)
	assert.Error(t, err, "Error: Exec command "+x+" has already run")
	assert.Assert(t, errdefs.IsConflict(err))
}

func TestExecThatCannotBeStartedSaysWhyInTheStream(t *testing.T) {
	noLeak(t)
	w, r, _ := newExecWorld(t)
	x := w.mustExec(t)
	r.failWith("Exec", ErrNoProgram)
	cl := w.execClient(jobs.ExecStartIn{Exec: x})
	cl.awaitOpen(t)
	assert.Error(t, cl.result(t), "OCI runtime exec failed: exec failed: program not found: unknown")
	assert.Equal(t, *w.execState(t, x).ExitCode, 126)
	x = w.mustExec(t)
	_, err := jobs.ExecStart.Run(t.Context(), w.eng, jobs.ExecStartIn{Exec: x, Detach: true}, nil)
	assert.Assert(t, errdefs.IsInvalidArgument(err))
	r.failWith("Exec", nil)
	x = w.mustExec(t, func(q *container.ExecCreateRequest) { q.User = "nobody" })
	cl = w.execClient(jobs.ExecStartIn{Exec: x})
	assert.Error(t, cl.result(t), "unable to find user nobody: no matching entries in passwd file")
}

func TestAVanishedClientLeavesItsExecRunningAndRead(t *testing.T) {
	noLeak(t)
	w, r, id := newExecWorld(t)
	x := w.mustExec(t)
	cl := w.execClient(jobs.ExecStartIn{Exec: x})
	p := r.exec(id)
	cl.awaitOpen(t)
	w.awaitExec(t, x)
	cl.leave()
	assert.NilError(t, cl.result(t))
	chunk := []byte(strings.Repeat("z", 64<<10))
	for range 32 { // far more than a pipe holds
		_, err := p.stdout.Write(chunk)
		assert.NilError(t, err)
	}
	assert.Assert(t, w.execState(t, x).Running)
	r.execExit(id, 3)
	r.awaitExit(t, w, x, 3)
	r.end(id, 0)
}

func TestAClientThatGoesEndsTheInputOfItsExecAlsoWhenNobodyReadsIt(t *testing.T) {
	noLeak(t)
	w, r, id := newExecWorld(t)
	x := w.mustExec(t)
	cl := w.execClient(jobs.ExecStartIn{Exec: x})
	p := r.exec(id)
	cl.awaitOpen(t)
	go cl.stdin.Write(make([]byte, 1<<20)) // more than a pipe holds
	readFrom(t, p.stdin, 1)
	cl.cancel()
	assert.NilError(t, cl.result(t))
	_, err := io.Copy(io.Discard, p.stdin)
	assert.NilError(t, err)
	r.execExit(id, 0)
	r.awaitExit(t, w, x, 0)
	r.end(id, 0)
}

func TestAStalledExecClientStallsOnlyItsOwn(t *testing.T) {
	noLeak(t)
	w, r, id := newExecWorld(t)
	first := w.execClient(jobs.ExecStartIn{Exec: w.mustExec(t)})
	first.awaitOpen(t)
	p := r.exec(id)
	first.set(func() { first.stall = true })
	io.WriteString(p.stdout, "waits")
	r.set(func() { delete(r.execs, id) })
	second := w.execClient(jobs.ExecStartIn{Exec: w.mustExec(t)})
	second.awaitOpen(t)
	q := r.exec(id)
	io.WriteString(q.stdout, "goes\n")
	second.awaitOut(t, "goes\n")
	r.execExit(id, 0)
	assert.NilError(t, second.result(t))
	r.set(func() { r.execs[id] = p })
	first.set(func() { first.stall = false })
	r.execExit(id, 0)
	assert.NilError(t, first.result(t))
	assert.Equal(t, first.stdout(), "waits")
	r.end(id, 0)
}

func TestExecIsRefusedWithDockersWords(t *testing.T) {
	w, r, id := newExecWorld(t)
	w.mustCreate(t, "ben")
	try := func(ct string, cmd ...string) error {
		in := jobs.ExecCreateIn{Container: ct}
		in.Cmd = cmd
		_, err := jobs.ExecCreate.Run(t.Context(), w.eng, in)
		return err
	}
	err := try("ada")
	assert.Error(t, err, "No exec command specified")
	assert.Assert(t, errdefs.IsInvalidArgument(err))
	err = try("ben", "ls")
	assert.ErrorContains(t, err, " is not running")
	assert.Assert(t, errdefs.IsConflict(err))
	assert.Assert(t, errdefs.IsNotFound(try("nope", "ls")))
	in := jobs.ExecCreateIn{Container: "ada"}
	in.Cmd, in.DetachKeys = []string{"ls"}, "foo"
	_, err = jobs.ExecCreate.Run(t.Context(), w.eng, in)
	assert.Error(t, err, "Invalid escape keys (foo) provided")

	x := w.mustExec(t)
	_, err = jobs.Pause.Run(t.Context(), w.eng, jobs.PauseIn{Container: "ada"})
	assert.NilError(t, err)
	err = try("ada", "ls")
	assert.Error(t, err, "Container ada is paused, unpause the container before exec")
	assert.Assert(t, errdefs.IsConflict(w.execClient(jobs.ExecStartIn{Exec: x}).result(t)))
	_, err = jobs.Unpause.Run(t.Context(), w.eng, jobs.UnpauseIn{Container: "ada"})
	assert.NilError(t, err)

	err = w.execClient(jobs.ExecStartIn{Exec: "nope"}).result(t)
	assert.Error(t, err, "No such exec instance: nope")
	assert.Assert(t, errdefs.IsNotFound(err))
	r.end(id, 0)
	_, err = w.wait("ada", container.WaitConditionNotRunning)
	assert.NilError(t, err)
	assert.Assert(t, errdefs.IsConflict(w.execClient(jobs.ExecStartIn{Exec: x}).result(t)))
}

func TestInspectNamesExecsThatHaveNotEnded(t *testing.T) {
	w, r, id := newExecWorld(t)
	ids := func() []string {
		out, err := jobs.ContainerInspect.Run(t.Context(), w.eng, jobs.ContainerInspectIn{Container: "ada"})
		assert.NilError(t, err)
		return out.ExecIDs
	}
	assert.Assert(t, ids() == nil)
	x, y := w.mustExec(t), w.mustExec(t)
	assert.DeepEqual(t, ids(), []string{x, y})
	cl := w.execClient(jobs.ExecStartIn{Exec: x})
	r.exec(id)
	r.execExit(id, 0)
	assert.NilError(t, cl.result(t))
	assert.DeepEqual(t, ids(), []string{y})
	assert.Equal(t, w.execState(t, x).ContainerID, id)
	r.end(id, 0)
	_, err := w.wait("ada", container.WaitConditionNotRunning)
	assert.NilError(t, err)
	_, err = jobs.Rm.Run(t.Context(), w.eng, jobs.RmIn{Container: "ada"})
	assert.NilError(t, err)
	for _, id := range []string{x, y} {
		_, err = jobs.ExecInspect.Run(t.Context(), w.eng, jobs.ExecInspectIn{Exec: id})
		assert.Assert(t, errdefs.IsNotFound(err))
	}
}
