package exectest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/execdriver"
)

func execRuns(b *bench) {
	b.run("c", b.spec(sayAndStay("ran")...)).line()
	p := b.further(Script(`echo "$FOO $(pwd)"`, "echo to-err >&2", "cat", "exit 6")...)
	p.Env = append(p.Env, "FOO=bar")
	p.Cwd = "/tmp"
	x := b.exec("c", p)
	if got := x.line(); got != "bar /tmp" {
		b.t.Fatalf("it printed %q", got)
	}
	x.stdin.WriteString("in\n")
	x.stdin.Close()
	if got := x.line(); got != "in" {
		b.t.Fatalf("it printed %q", got)
	}
	x.expect(6)
	if got := x.rest(x.stderr); got != "to-err\n" {
		b.t.Fatalf("stderr %q", got)
	}
}

func execTerminal(b *bench) {
	b.run("c", b.spec(sayAndStay("ran")...)).line()
	p := b.further(Script("stty size", "test -t 0 && echo yes")...)
	p.Terminal = true
	p.ConsoleSize = &specs.Box{Height: 11, Width: 22}
	x := b.exec("c", p)
	if size, yes := x.line(), x.line(); size != "11 22" || yes != "yes" {
		b.t.Fatalf("size %q, terminal %q", size, yes)
	}
	x.expect(0)
}

func execNoProgram(b *bench) {
	p := b.run("c", b.spec(sayAndStay("ran")...))
	p.line()
	_, err := b.tryExec("c", b.further("no-such-program"))
	wantError(b.t, err, execdriver.ErrNoProgram)
	_, err = b.tryExec("c", b.further("/etc/passwd"))
	wantError(b.t, err, execdriver.ErrNotExecutable)
	if !p.named.Alive() {
		b.t.Fatal("the failed exec has ended the container")
	}
	if d, ok := b.driver.(execdriver.Pidser); ok {
		pids, err := d.Pids(ctx(), "c")
		must(b.t, err)
		if len(pids) != 1 {
			b.t.Fatalf("the failed execs left processes: %v", pids)
		}
	}
}

func execEnded(b *bench) {
	b.run("c", b.spec(Script("exit 0")...)).expect(0)
	_, err := b.tryExec("c", b.further("/bin/true"))
	wantError(b.t, err, execdriver.ErrNotRunning)
	_, err = b.tryExec("absent", b.further("/bin/true"))
	wantError(b.t, err, execdriver.ErrNotFound)
}

func execMany(b *bench) {
	b.run("c", b.spec(sayAndStay("ran")...)).line()
	var all sync.WaitGroup
	errs := make(chan error, 8)
	for i := range cap(errs) {
		child, ours := b.pipes()
		all.Go(func() {
			p, err := b.driver.Exec(ctx(), "c", b.further(Script(fmt.Sprintf("exit %d", i))...), child)
			closeChild(child)
			if err != nil {
				errs <- err
				return
			}
			defer p.PidFD.Close()
			ours.p, ours.named.Pid = p, p.Pid
			if code := ours.wait(); code != i {
				errs <- fmt.Errorf("exec %d ended with %d", i, code)
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		b.t.Error(err)
	}
}

// counting prints numbers until it is ended.
func counting() []string {
	return Script("n=0", "while :; do n=$((n+1)); echo $n; sleep 0.01; done")
}

func pauseStops(b *bench) {
	d, ok := b.driver.(execdriver.Pauser)
	if !ok {
		b.t.Skip("no Pauser")
	}
	p := b.run("c", b.spec(counting()...))
	p.line()
	must(b.t, d.Pause(ctx(), "c"))
	for { // what it had printed before
		_ = p.stdout.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if n, _ := p.stdout.Read(make([]byte, 4096)); n == 0 {
			break
		}
		if err := p.stdout.SetReadDeadline(time.Time{}); err != nil {
			b.t.Fatal(err)
		}
		if b.overdue() {
			b.t.Fatal("it counts on though it is paused")
		}
	}
	must(b.t, d.Pause(ctx(), "c"))
	must(b.t, d.Resume(ctx(), "c"))
	p.line()
	must(b.t, d.Resume(ctx(), "c"))
	p.line()
}

func pausedDies(b *bench) {
	d, ok := b.driver.(execdriver.Pauser)
	if !ok {
		b.t.Skip("no Pauser")
	}
	p := b.run("c", b.spec(sayAndStay("ran")...))
	p.line()
	must(b.t, d.Pause(ctx(), "c"))
	must(b.t, b.driver.Signal(ctx(), "c", unix.SIGKILL))
	p.expect(137)
	q := b.run("d", b.spec(sayAndStay("ran")...))
	q.line()
	must(b.t, d.Pause(ctx(), "d"))
	must(b.t, b.driver.Delete(ctx(), "d"))
	q.expect(137)
}

func pidsLists(b *bench) {
	d, ok := b.driver.(execdriver.Pidser)
	if !ok {
		b.t.Skip("no Pidser")
	}
	p := b.run("c", b.spec(sayAndStay("ran")...))
	p.line()
	x := b.exec("c", b.further(sayAndStay("ran")...))
	x.line()
	pids, err := d.Pids(ctx(), "c")
	must(b.t, err)
	slices.Sort(pids)
	want := []int{p.p.Pid, x.p.Pid}
	slices.Sort(want)
	if !slices.Equal(pids, want) {
		b.t.Fatalf("Pids gives %v, want %v", pids, want)
	}
}

func killAll(b *bench) {
	d, ok := b.driver.(execdriver.Killer)
	if !ok {
		b.t.Skip("no Killer")
	}
	// In the host's pid namespace the end of the first process ends nothing else.
	spec := b.spec(Script("sleep 1000 &", "echo $!", "exit 3")...)
	spec.Linux.Namespaces = slices.DeleteFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.PIDNamespace
	})
	p := b.run("c", spec)
	p.line()
	p.expect(3)
	must(b.t, d.KillAll(ctx(), "c"))
	if got := p.rest(p.stdout); got != "" {
		b.t.Fatalf("further output %q", got)
	}
	must(b.t, d.KillAll(ctx(), "c"))
}

func noOOM(b *bench) {
	d, ok := b.driver.(execdriver.OOMTeller)
	if !ok {
		b.t.Skip("no OOMTeller")
	}
	b.run("c", b.spec(Script("exit 137")...)).expect(137)
	killed, err := d.OOMKilled(ctx(), "c")
	must(b.t, err)
	if killed {
		b.t.Fatal("nobody ran out of memory")
	}
}
