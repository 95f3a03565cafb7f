package native

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/internal/pidfd"
)

// Two containers get the networks that are ready, the third one makes its own;
// nobody can tell them apart, and nothing of them stays.
func TestContainersGetPreparedNetworks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	open, err := New(execdriver.Options{StateDir: t.TempDir()})
	assert.NilError(t, err)
	d, ctx := open.(*Driver), context.Background()
	others := heldNetworks(t) // of other drivers
	d.nets.Refill()
	n, err := d.nets.Settle()
	assert.NilError(t, err)
	assert.Equal(t, n, preparedNetworks)
	ready := map[string]bool{}
	for _, link := range heldNetworks(t) {
		if !slices.Contains(others, link) {
			ready[link] = true
		}
	}
	// Drivers of tests before this one may still be making theirs.
	assert.Assert(t, len(ready) >= preparedNetworks, "%v", ready)

	rootfs := exectest.RootFS(t)
	seen := map[string]bool{network(t, os.Getpid()): true}
	for i := range preparedNetworks + 1 {
		id := fmt.Sprintf("c%d", i)
		bundle := exectest.WriteBundle(t, t.TempDir(), exectest.Spec(rootfs, "sleep", "1000"))
		p, err := d.Create(ctx, id, bundle, execdriver.Stdio{})
		assert.NilError(t, err)
		defer func() {
			assert.NilError(t, d.Delete(ctx, id))
			pidfd.Reap(p.PidFD)
			p.PidFD.Close()
		}()
		assert.Equal(t, bundle.Spec.Linux.Namespaces[networkAt(bundle.Spec)].Path, "", "the caller's spec was changed")
		link := network(t, p.Pid)
		assert.Assert(t, !seen[link], "%s of container %d: shared with another container or with the host: %v, ready %v", link, i, seen, ready)
		seen[link] = true
		assert.Equal(t, ready[link], i < preparedNetworks)
		loopbackIsUp(t, p.Pid)
		if i == preparedNetworks-1 {
			d.nets.Close() // so that the pause before the next fill does not matter
		}
	}
	delete(seen, network(t, os.Getpid()))
	for _, link := range heldNetworks(t) {
		assert.Assert(t, !seen[link], "still held")
	}
}

func TestOnlyWhoWantsAnEmptyNetworkOfTheHostsUsersGetsOne(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	open, err := New(execdriver.Options{StateDir: t.TempDir()})
	assert.NilError(t, err)
	d := open.(*Driver)
	defer d.nets.Close()
	d.nets.Refill()
	_, err = d.nets.Settle()
	assert.NilError(t, err)
	for _, namespaces := range [][]specs.LinuxNamespace{
		{{Type: specs.MountNamespace}},
		{{Type: specs.NetworkNamespace, Path: "/proc/1/ns/net"}},
		{{Type: specs.NetworkNamespace}, {Type: specs.UserNamespace}},
	} {
		spec := specs.Spec{Linux: &specs.Linux{Namespaces: namespaces}}
		d.prepared(&spec)()
		assert.DeepEqual(t, spec.Linux.Namespaces, namespaces)
	}
	n, err := d.nets.Settle()
	assert.NilError(t, err)
	assert.Equal(t, n, preparedNetworks)
}

func networkAt(s *specs.Spec) int {
	for i, n := range s.Linux.Namespaces {
		if n.Type == specs.NetworkNamespace {
			return i
		}
	}
	return -1
}

func network(t *testing.T, pid int) string {
	t.Helper()
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	assert.NilError(t, err)
	return link
}

func heldNetworks(t *testing.T) (links []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	assert.NilError(t, err)
	for _, e := range entries {
		if link, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(link, "net:[") {
			links = append(links, link)
		}
	}
	return links
}

func loopbackIsUp(t *testing.T, pid int) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	assert.NilError(t, err)
	defer f.Close()
	done := make(chan error, 1)
	var enter func()
	enter = func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() { // Go would keep that thread
			defer runtime.UnlockOSThread()
			over := make(chan struct{})
			go func() { defer close(over); enter() }()
			<-over
			return
		}
		err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			var l net.Listener
			if l, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
				l.Close()
			}
		}
		done <- err
	}
	go enter()
	assert.NilError(t, <-done)
}
