package exectest

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/jobengine/engine/execdriver"
)

func updateChanges(b *bench) {
	d, ok := b.driver.(execdriver.Updater)
	if !ok {
		b.t.Skip("no Updater")
	}
	limits := func(n int64) *specs.LinuxResources { return &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &n}} }
	p := b.run("c", b.spec(sayAndStay("ran")...))
	p.line()
	must(b.t, d.Update(ctx(), "c", limits(60)))
	must(b.t, d.Update(ctx(), "c", &specs.LinuxResources{}))
	if s, ok := b.driver.(execdriver.Statser); ok {
		u, err := s.Stats(ctx(), "c")
		must(b.t, err)
		if u.Pids.Limit != 60 {
			b.t.Fatalf("the limit of processes is %d, want 60", u.Pids.Limit)
		}
	}
	other := b.open(b.t, b.stateDir()).(execdriver.Updater)
	must(b.t, other.Update(ctx(), "c", limits(70)))
	must(b.t, b.driver.Signal(ctx(), "c", 9))
	p.expect(137)
	wantError(b.t, d.Update(ctx(), "c", limits(80)), execdriver.ErrNotRunning)
	wantError(b.t, d.Update(ctx(), "absent", limits(80)), execdriver.ErrNotFound)
}

func statsTell(b *bench) {
	d, ok := b.driver.(execdriver.Statser)
	if !ok {
		b.t.Skip("no Statser")
	}
	b.run("c", b.spec(sayAndStay("ran")...)).line()
	first, err := d.Stats(ctx(), "c")
	must(b.t, err)
	if first.Pids.Current == 0 || first.Memory.Usage == 0 || first.Read.IsZero() {
		b.t.Fatalf("a running process uses nothing: %+v", first)
	}
	x := b.exec("c", b.further(Script("n=0", "while [ $n -lt 20000 ]; do n=$((n+1)); done", "echo done", "sleep 1000")...))
	if x.line() != "done" {
		b.t.Fatal("it did not work")
	}
	second, err := d.Stats(ctx(), "c")
	must(b.t, err)
	if second.CPU.Total <= first.CPU.Total || second.Pids.Current <= first.Pids.Current {
		b.t.Fatalf("more work and more processes, but %+v after %+v", second.CPU, first.CPU)
	}
	_, err = d.Stats(ctx(), "absent")
	wantError(b.t, err, execdriver.ErrNotFound)
}

func oomWatch(b *bench) {
	d, ok := b.driver.(execdriver.OOMWatcher)
	if !ok {
		b.t.Skip("no OOMWatcher")
	}
	b.run("c", b.spec(sayAndStay("ran")...)).line()
	f, err := d.WatchOOM(ctx(), "c")
	must(b.t, err)
	defer f.Close()
	// It is in the poller: whoever reads it can be woken by a Close.
	done := make(chan error)
	go func() { _, err := f.Read(make([]byte, 4096)); done <- err }()
	f.Close()
	if err := <-done; err == nil {
		b.t.Fatal("it told of something")
	}
	n, err := d.OOMKills(ctx(), "c")
	must(b.t, err)
	if n != 0 {
		b.t.Fatalf("%d processes were killed", n)
	}
	_, err = d.WatchOOM(ctx(), "absent")
	wantError(b.t, err, execdriver.ErrNotFound)
}
