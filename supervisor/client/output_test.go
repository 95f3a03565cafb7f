package client_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/spool"
)

// TestLongLinesAreSplitAsDockers: sizes that dockerd 20.10 gave for this output.
func TestLongLinesAreSplitAsDockers(t *testing.T) {
	b := newBench(t)
	q := b.request("c", "fake")
	b.run(q, exectest.Script(
		"head -c 40000 /dev/zero | tr '\\0' x; echo", "head -c 16384 /dev/zero | tr '\\0' y; echo", "echo; printf 'no end'")...)
	b.exit("c", "")
	var sizes []int
	rs := records(t, q.Log.Path)
	for _, r := range rs {
		sizes = append(sizes, len(r.Log))
	}
	assert.DeepEqual(t, sizes, []int{16384, 16384, 7233, 16384, 1, 1, 6})
	assert.Equal(t, rs[0].Time, rs[1].Time) // the pieces of a line have one time
	assert.Equal(t, rs[0].Time, rs[2].Time)
	assert.Assert(t, rs[3].Time.After(rs[2].Time))
}

func TestAPromptIsVisibleAtOnceAndLoggedWhenItsLineEnds(t *testing.T) {
	b := newBench(t)
	q := b.request("c", "fake")
	q.OpenStdin = true
	b.run(q, exectest.Script("printf 'name: '", "read n", "echo hello $n")...)
	out := b.output("c")
	await(t, b.ctx, out, "name: ")
	assert.Equal(t, out.LogSize(), int64(0))
	w, err := b.OpenStdin("c")
	assert.NilError(t, err)
	defer w.Close()
	_, err = w.WriteString("x\n")
	assert.NilError(t, err)
	b.exit("c", "")
	rs := records(t, q.Log.Path)
	assert.Equal(t, len(rs), 1)
	assert.Equal(t, rs[0].Log, "name: hello x\n")
	info, err := os.Stat(q.Log.Path)
	assert.NilError(t, err)
	assert.Equal(t, out.LogSize(), info.Size())
}

func TestAFloodReachesLogAndReaderWhole(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		const lines = 300_000
		q := b.request("c", driver)
		b.create(q, exectest.Script(fmt.Sprintf("seq 1 %d", lines))...)
		out := b.output("c")
		assert.NilError(t, b.Start(b.ctx, "c"))
		var read int64
		err := out.Copy(b.ctx, [spool.Streams]int64{}, func(_ spool.Stream, p []byte) error {
			read += int64(len(p))
			return nil
		})
		if !errors.Is(err, spool.ErrLagged) { // on a busy machine the reader may be too slow; then the log has it all
			assert.NilError(t, err)
			assert.Equal(t, read, out.Written(spool.Stdout))
		}
		assert.Equal(t, b.exit("c", "").ExitCode, 0)
		wantNumbers(t, records(t, q.Log.Path), "stdout", lines)
	})
}

func TestASlowReaderStallsNobodyAndIsTold(t *testing.T) {
	b := newBench(t)
	const size = 8 << 20
	q := b.request("c", "fake")
	b.create(q, exectest.Script(fmt.Sprintf("yes 0123456789 | head -c %d", size))...)
	out := b.output("c")
	assert.NilError(t, b.Start(b.ctx, "c"))
	assert.Equal(t, b.exit("c", "").ExitCode, 0)
	assert.Equal(t, out.Written(spool.Stdout), int64(size))
	_, err := out.ReadAt(spool.Stdout, make([]byte, 10), 0)
	assert.Assert(t, errors.Is(err, spool.ErrLagged), "%v", err)
	kept := out.FirstKept(spool.Stdout)
	assert.Assert(t, size-kept >= spool.Window && size-kept < 2*spool.Window, "%d kept", size-kept)
	p := make([]byte, 11)
	at := (kept + 10) / 11 * 11
	n, err := out.ReadAt(spool.Stdout, p, at)
	assert.NilError(t, err)
	assert.Equal(t, string(p[:n]), "0123456789\n")
	_, err = out.ReadAt(spool.Stdout, p, size)
	assert.Equal(t, err, io.EOF)

	var disk syscall.Stat_t
	assert.NilError(t, syscall.Stat(filepath.Join(client.ContainerDir(b.root, "c"), "spool.stdout"), &disk))
	assert.Assert(t, disk.Blocks*512 < 2*spool.Window, "%d bytes on disk", disk.Blocks*512)
}

func TestWithoutALogTheSpoolStillServesReaders(t *testing.T) {
	b := newBench(t)
	q := b.request("c", "fake")
	q.Log.Driver = "none"
	b.run(q, exectest.Script("echo out; echo err >&2")...)
	b.exit("c", "")
	assert.DeepEqual(t, all(t, b.ctx, b.output("c")), [2]string{"out\n", "err\n"})
	_, err := os.Stat(q.Log.Path)
	assert.Assert(t, os.IsNotExist(err))
}

func TestAContainerThatClosesItsOutputLivesOn(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		q := b.request("c", driver)
		b.run(q, exectest.Script("echo last", "exec >&- 2>&-", "sleep 0.2", "exit 3")...)
		out := b.output("c")
		assert.Equal(t, all(t, b.ctx, out)[0], "last\n") // both streams end before the container
		assert.Equal(t, b.exit("c", "").ExitCode, 3)
	})
}

func TestAReopenedStdoutIsTheSame(t *testing.T) {
	drivers(t, func(t *testing.T, b *bench, driver string) {
		b.run(b.request("c", driver), exectest.Script("echo one", "echo two > /proc/self/fd/1", "echo three > /dev/stdout 2>/dev/null || echo three")...)
		assert.Equal(t, b.exit("c", "").ExitCode, 0)
		assert.Equal(t, all(t, b.ctx, b.output("c"))[0], "one\ntwo\nthree\n")
	})
}

// TestFullDiskUnderTheLog: output waits in the spool, the container goes on, and
// the log has everything once there is room.
func TestFullDiskUnderTheLog(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	b := newBench(t)
	disk := t.TempDir()
	assert.NilError(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() { assert.Check(t, unix.Unmount(disk, unix.MNT_DETACH)) })
	ballast := filepath.Join(disk, "ballast")
	assert.NilError(t, os.WriteFile(ballast, make([]byte, 48<<10), 0o600))

	const lines = 2000
	q := b.request("c", "fake")
	q.Log.Path = filepath.Join(disk, "log")
	q.ExitFile = filepath.Join(disk, "exit.json")
	b.run(q, exectest.Script(fmt.Sprintf("seq 1 %d", lines), "exit 3")...)
	e := b.exit("c", "")
	assert.Equal(t, e.ExitCode, 3) // known though it could be written nowhere but the exec root
	records(t, q.Log.Path)         // what is there is whole
	assert.Assert(t, b.output("c").LogSize() < 17<<10)

	assert.NilError(t, unix.Mount("", disk, "", unix.MS_REMOUNT, "size=1m"))
	out := b.output("c")
	for out.Committed().Offset[spool.Stdout] < out.Written(spool.Stdout) {
		time.Sleep(10 * time.Millisecond)
		assert.NilError(t, b.ctx.Err())
	}
	wantNumbers(t, records(t, q.Log.Path), "stdout", lines)
}

// TestEndOfInitEndsEverybody: without a pid namespace of its own, a container's
// other processes live on when the first one ends, unless the supervisor ends them.
func TestEndOfInitEndsEverybody(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	b := newBench(t)
	q := b.request("c", "native")
	spec := exectest.Spec(b.rootfs, exectest.Script("while :; do echo more; sleep 0.01; done &", "sleep 0.1", "exit 3")...)
	spec.Linux.Namespaces = slices.DeleteFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.PIDNamespace })
	exectest.WriteBundle(t, q.BundleDir, spec)
	p, err := b.Create(b.ctx, q)
	assert.NilError(t, err)
	defer p.PidFD.Close()
	assert.NilError(t, b.Start(b.ctx, "c"))
	assert.Equal(t, b.exit("c", "").ExitCode, 3)
	assert.Assert(t, strings.HasPrefix(all(t, b.ctx, b.output("c"))[0], "more\n"))
	for { // the kill is on its way, and pid 1 may reap late
		left, err := os.ReadFile(filepath.Join("/sys/fs/cgroup/pids", spec.Linux.CgroupsPath, "cgroup.procs"))
		if err != nil || len(left) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
		assert.NilError(t, b.ctx.Err(), "%s", left)
	}
}

func TestOutOfMemoryIsToldWithTheExit(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	b := newBench(t)
	q := b.request("c", "native")
	spec := exectest.Spec(b.rootfs, exectest.Script("tail /dev/zero", "exit 3")...)
	limit := int64(24 << 20)
	spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
	exectest.WriteBundle(t, q.BundleDir, spec)
	p, err := b.Create(b.ctx, q)
	assert.NilError(t, err)
	defer p.PidFD.Close()
	assert.NilError(t, b.Start(b.ctx, "c"))
	e := b.exit("c", "")
	assert.Assert(t, e.OOMKilled)
	assert.Equal(t, e.ExitCode, 3) // the shell outlived its child
}
