package exectest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
)

// sayAndStay prints a line when it runs and then stays.
func sayAndStay(word string) []string { return Script("echo "+word, "exec sleep 1000") }

func createWaits(b *bench) {
	p := b.create("c", b.spec(sayAndStay("ran")...))
	p.silent()
	if !p.named.Alive() {
		b.t.Fatal("the first process does not live after Create")
	}
	must(b.t, b.driver.Start(ctx(), "c"))
	if got := p.line(); got != "ran" {
		b.t.Fatalf("after Start it printed %q", got)
	}
}

func startRuns(b *bench) {
	spec := b.spec(Script(`echo "$0 $1 $FOO $(pwd)"`)...)
	spec.Process.Args = append(spec.Process.Args, "zero", "o ne")
	spec.Process.Env = append(spec.Process.Env, "FOO=b a r")
	spec.Process.Cwd = "/tmp"
	p := b.run("c", spec)
	if got := p.line(); got != "zero o ne b a r /tmp" {
		b.t.Fatalf("it printed %q", got)
	}
	p.expect(0)
}

func startTwice(b *bench) {
	p := b.run("c", b.spec(sayAndStay("ran")...))
	p.line()
	must(b.t, b.driver.Start(ctx(), "c"))
	must(b.t, b.driver.Signal(ctx(), "c", unix.SIGKILL))
	p.wait()
	wantError(b.t, b.driver.Start(ctx(), "c"), execdriver.ErrNotRunning)
}

func exitCode(b *bench) {
	b.run("c", b.spec(Script("exit 42")...)).expect(42)
}

func exitBySignal(b *bench) {
	p := b.run("c", b.spec(sayAndStay("ran")...))
	p.line()
	must(b.t, b.driver.Signal(ctx(), "c", unix.SIGKILL))
	p.expect(128 + int(unix.SIGKILL))
}

func stdio(b *bench) {
	p := b.run("c", b.spec(Script("echo to-err >&2", "cat")...))
	if _, err := p.stdin.WriteString("through\n"); err != nil {
		b.t.Fatal(err)
	}
	p.stdin.Close()
	p.expect(0)
	if out, err := p.rest(p.stdout), p.rest(p.stderr); out != "through\n" || err != "to-err\n" {
		b.t.Fatalf("stdout %q, stderr %q", out, err)
	}
}

func stdioNull(b *bench) {
	bundle := WriteBundle(b.t, filepath.Join(b.dir, "bundle"), b.spec(Script(
		"cat || exit 1", "echo x || exit 2", "echo x >&2 || exit 3", "[ -c /dev/stdin ] || exit 4", "[ -c /dev/stdout ] || exit 5")...))
	p, err := b.begin(bundle.Spec.Process, "c", func(execdriver.Stdio) (execdriver.Process, error) {
		b.t.Cleanup(func() { _ = b.driver.Delete(ctx(), "c") })
		return b.driver.Create(ctx(), "c", bundle, execdriver.Stdio{})
	})
	must(b.t, err)
	must(b.t, b.driver.Start(ctx(), "c"))
	p.expect(0)
}

func terminal(b *bench) {
	spec := b.spec(Script("stty size", "test -t 0 && test -t 1 && test -t 2 && echo all", "read line", "echo got $line")...)
	spec.Process.Terminal = true
	spec.Process.ConsoleSize = &specs.Box{Height: 33, Width: 77}
	p := b.run("c", spec)
	if got := p.line(); got != "33 77" {
		b.t.Fatalf("size %q", got)
	}
	if got := p.line(); got != "all" {
		b.t.Fatalf("not everything is a terminal: %q", got)
	}
	if _, err := p.tty.WriteString("word\n"); err != nil {
		b.t.Fatal(err)
	}
	p.line() // the echo
	if got := p.line(); got != "got word" {
		b.t.Fatalf("input became %q", got)
	}
	p.expect(0)
}

func pidFDPolls(b *bench) {
	p := b.create("c", b.spec(sayAndStay("ran")...))
	flags, err := unix.FcntlInt(uintptr(rawFD(b.t, p.p.PidFD)), unix.F_GETFL, 0)
	must(b.t, err)
	if flags&unix.O_NONBLOCK == 0 {
		b.t.Fatal("the pidfd blocks")
	}
	if err := p.p.PidFD.SetReadDeadline(time.Now()); err != nil {
		b.t.Fatalf("the pidfd is not in the poller: %v", err)
	}
}

func createTwice(b *bench) {
	p := b.run("c", b.spec(sayAndStay("ran")...))
	p.line()
	_, err := b.driver.Create(ctx(), "c", WriteBundle(b.t, filepath.Join(b.dir, "again"), b.spec("/bin/true")), execdriver.Stdio{})
	wantError(b.t, err, execdriver.ErrExists)
	if !p.named.Alive() {
		b.t.Fatal("the refused Create has ended the container that was there")
	}
}

func createNoProgram(b *bench) {
	for _, name := range []string{"no-such-program", "/no/such/program"} {
		_, err := b.tryCreate("c", b.spec(name))
		wantError(b.t, err, execdriver.ErrNoProgram)
		wantList(b)
	}
}

func createNotExecutable(b *bench) {
	for _, name := range []string{"/etc/passwd", "/etc"} {
		_, err := b.tryCreate("c", b.spec(name))
		wantError(b.t, err, execdriver.ErrNotExecutable)
		wantList(b)
	}
}

func createNoProcess(b *bench) {
	spec := b.spec()
	for _, broken := range []func(){func() { spec.Process.Args = nil }, func() { spec.Process = nil }} {
		broken()
		if _, err := b.tryCreate("c", spec); err == nil {
			b.t.Fatal("it was created")
		}
		wantList(b)
	}
}

func signalReaches(b *bench) {
	p := b.run("c", b.spec(Script("trap 'echo caught; exit 9' USR1", "echo ready", "while :; do sleep 0.05; done")...))
	p.line()
	must(b.t, b.driver.Signal(ctx(), "c", unix.SIGUSR1))
	if got := p.line(); got != "caught" {
		b.t.Fatalf("it printed %q", got)
	}
	p.expect(9)
}

func signalEnded(b *bench) {
	p := b.run("c", b.spec(Script("exit 0")...))
	for range 1000 { // a zombie has ended already
		if !p.named.Alive() {
			break
		}
		time.Sleep(time.Millisecond)
	}
	wantError(b.t, b.driver.Signal(ctx(), "c", unix.SIGTERM), execdriver.ErrNotRunning)
	p.expect(0)
	wantError(b.t, b.driver.Signal(ctx(), "c", unix.SIGTERM), execdriver.ErrNotRunning)
	wantError(b.t, b.driver.Signal(ctx(), "absent", unix.SIGTERM), execdriver.ErrNotFound)
}

func deleteKills(b *bench) {
	p := b.run("c", b.spec(Script("sleep 1000 &", "sleep 1000 &", "echo ran", "wait")...))
	p.line()
	x := b.exec("c", b.further(sayAndStay("exec")...))
	x.line()
	xCode := x.waiting()
	must(b.t, b.driver.Delete(ctx(), "c"))
	p.expect(137)
	if code, ended := <-xCode; !ended || code != 137 {
		b.t.Fatalf("the exec has ended: %v, with %d", ended, code)
	}
	if got := p.rest(p.stdout); got != "" { // ends only when nobody holds the descriptor
		b.t.Fatalf("further output %q", got)
	}
	wantList(b)
}

func deleteCreated(b *bench) {
	p := b.create("c", b.spec(sayAndStay("ran")...))
	must(b.t, b.driver.Delete(ctx(), "c"))
	p.expect(137)
	if got := p.rest(p.stdout); got != "" {
		b.t.Fatalf("it ran: %q", got)
	}
	wantList(b)
}

func deleteAbsent(b *bench) {
	must(b.t, b.driver.Delete(ctx(), "absent"))
}

func deleteThenCreate(b *bench) {
	for range 3 {
		b.run("c", b.spec(Script("exit 5")...)).expect(5)
		must(b.t, b.driver.Delete(ctx(), "c"))
		must(b.t, b.driver.Delete(ctx(), "c"))
	}
}

func listNames(b *bench) {
	wantList(b)
	b.create("one", b.spec(sayAndStay("ran")...))
	b.run("two", b.spec(Script("exit 0")...)).expect(0)
	wantList(b, "one", "two") // also one that has ended
	must(b.t, b.driver.Delete(ctx(), "two"))
	wantList(b, "one")
}

func otherProcessGoesOn(b *bench) {
	p := b.create("c", b.spec(sayAndStay("ran")...))
	b.driver = b.open(b.t, b.stateDir())
	wantList(b, "c")
	must(b.t, b.driver.Start(ctx(), "c"))
	p.line()
	b.driver = b.open(b.t, b.stateDir())
	b.exec("c", b.further(Script("exit 4")...)).expect(4)
	b.driver = b.open(b.t, b.stateDir())
	must(b.t, b.driver.Signal(ctx(), "c", unix.SIGKILL))
	p.expect(137)
	b.driver = b.open(b.t, b.stateDir())
	must(b.t, b.driver.Delete(ctx(), "c"))
	wantList(b)
}

func wantError(t testing.TB, err, class error) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Fatalf("error %v, want %v", err, class)
	}
}

func wantList(b *bench, ids ...string) {
	b.t.Helper()
	got, err := b.driver.List(ctx())
	must(b.t, err)
	slices.Sort(got)
	if !slices.Equal(got, ids) {
		b.t.Fatalf("List gives %v, want %v", got, ids)
	}
}

func rawFD(t testing.TB, f *os.File) int {
	t.Helper()
	raw, err := f.SyscallConn()
	must(t, err)
	var n int
	must(t, raw.Control(func(fd uintptr) { n = int(fd) }))
	return n
}
