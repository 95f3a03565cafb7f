package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/test/harness"
)

const podman = "podman"

// spent is what one pull cost.
type spent struct {
	wall time.Duration
	disk time.Duration // and until all of it was on the disk
	cpu  time.Duration
	peak float64 // MB
}

// A puller can bring the image in and remove it again.
type puller struct {
	name   string
	pull   func() (spent, error)
	remove func() error
	runs   []spent
}

func (p *puller) median(of func(spent) time.Duration) time.Duration {
	var all times
	for _, s := range p.runs {
		all = append(all, of(s))
	}
	return all.median()
}

func (p *puller) wall() time.Duration { return p.median(func(s spent) time.Duration { return s.wall }) }

// pull measures how long an image of six layers of real files takes from a registry on loopback: to the
// engine, to dockerd, to podman if it is there, and what `tar -xz` of the same layers takes, which is about
// the least that can be done. All keep their files on the same file system.
func pull(args []string) (err error) {
	f := flag.NewFlagSet("pull", flag.ContinueOnError)
	rounds := f.Int("rounds", 5, "rounds; everybody pulls once in each, after one to warm up")
	size := f.Int("size", 300, "MB of files in the image")
	only := f.String("only", "", "measure this one alone: engine, dockerd, podman, floor")
	debug := f.Bool("debug", false, "the engine serves /debug/pprof, and each of its pulls waits for Enter")
	strict := f.Bool("strict", false, "a missed bar is a failure")
	if err := f.Parse(args); err != nil {
		return err
	}
	b, err := newBench()
	if err != nil {
		return err
	}
	defer b.close(&err)
	began := time.Now()
	if err := b.mountDisk(); err != nil {
		return err
	}
	layers, err := b.realLayers(*size << 20)
	if err != nil {
		return err
	}
	ref, err := b.serveImage(layers)
	if err != nil {
		return err
	}
	all, err := b.pullers(ref, layers, *only, *debug)
	if err != nil {
		return err
	}
	files, packed := 0, int64(0)
	for _, l := range layers {
		files, packed = files+l.files, packed+l.size
	}
	fmt.Printf("pull: %d layers with %d files, %d MB, %d MB compressed, from docker-registry on loopback; %d rounds, taking turns; load when it began: %s\n\n",
		len(layers), files, *size, packed>>20, *rounds, load())
	for i := -1; i < *rounds; i++ {
		for _, p := range all {
			if err := syncDisk(b.disk()); err != nil {
				return err
			}
			s, err := p.pull()
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			synced := time.Now()
			if err := syncDisk(b.disk()); err != nil {
				return err
			}
			s.disk = s.wall + time.Since(synced)
			if i >= 0 {
				p.runs = append(p.runs, s)
			}
			if err := p.remove(); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	missed := pullTable(all)
	fmt.Printf("\n%s in all; load at the end: %s\n", time.Since(began).Round(time.Second), load())
	if missed && *strict {
		return errors.New("a bar is missed")
	}
	return nil
}

// pullTable prints what was measured.
func pullTable(all []*puller) (missed bool) {
	us := all[0]
	fmt.Printf("  %-10s %14s %14s %12s %10s %12s\n", "", "wall ms", "and on disk", "CPU ms", "peak MB", "wall to ours")
	for _, p := range all {
		peak, worst := 0.0, times{}
		for _, s := range p.runs {
			peak, worst = max(peak, s.peak), append(worst, s.wall)
		}
		shown := "-"
		if peak > 0 {
			shown = fmt.Sprintf("%.1f", peak)
		}
		fmt.Printf("  %-10s %14s %14.0f %12.0f %10s %11.2f×\n", p.name, fmt.Sprintf("%.0f (%.0f)", ms(p.wall()), ms(worst.at(0.9))),
			ms(p.median(func(s spent) time.Duration { return s.disk })), ms(p.median(func(s spent) time.Duration { return s.cpu })),
			shown, ms(p.wall())/ms(us.wall()))
	}
	fmt.Println("\n  medians (90th percentile); \"on disk\" is when a sync afterwards has ended, as neither dockerd nor podman waits for the disk.\n" +
		"  CPU is of the daemon and what it started, and of podman's one process, which is its client too; dockerd unpacks in others, which its peak leaves out.")
	if us.name != ours {
		return false
	}
	fmt.Println()
	for _, p := range all[1:] {
		if p.name == floor {
			continue
		}
		ratio, verdict := ms(p.wall())/ms(us.wall()), "met"
		if ratio < 1.5 {
			verdict, missed = "MISSED", true
		}
		fmt.Printf("  %-52s bar %6.1f  measured %6.1f  %s\n", "pull: times faster than "+p.name+", at least", 1.5, ratio, verdict)
	}
	peak := 0.0
	for _, s := range us.runs {
		peak = max(peak, s.peak)
	}
	verdict := "met"
	if peak > 80 {
		verdict, missed = "MISSED", true
	}
	fmt.Printf("  %-52s bar %6.1f  measured %6.1f  %s\n", "pull: peak RSS of the daemon in MB, at most", 80.0, peak, verdict)
	return missed
}

const floor = "floor"

// pullers are those who take part, ourselves first.
func (b *bench) pullers(ref string, layers []layer, only string, debug bool) ([]*puller, error) {
	var all []*puller
	wanted := func(name string) bool { return only == "" || only == name }
	if wanted(ours) {
		var flags []string
		if debug {
			flags = []string{"-D"}
		}
		d, err := harness.StartEngine(harness.Options{Dir: filepath.Join(b.disk(), ours), ExecRoot: filepath.Join(b.runDir, ours), Flags: flags})
		if err != nil {
			return nil, err
		}
		b.undo = append(b.undo, d.Destroy)
		own, err := harness.EngineCLI()
		if err != nil {
			return nil, err
		}
		p := daemonPuller(ours, d, own, ref)
		if debug {
			fmt.Printf("engine: pid %d, %s; Enter for each pull\n", d.Pid(), d.Host())
			quiet := p.pull
			p.pull = func() (spent, error) {
				_, _ = fmt.Scanln()
				return quiet()
			}
		}
		all = append(all, p)
	}
	if wanted("dockerd") {
		d, err := harness.StartDockerd(harness.Options{Dir: filepath.Join(b.disk(), "docker"), ExecRoot: filepath.Join(b.runDir, "docker")})
		if err != nil {
			return nil, err
		}
		b.undo = append(b.undo, d.Destroy)
		all = append(all, daemonPuller("dockerd", d, harness.DockerCLIs()[0], ref))
	}
	if wanted(podman) {
		if path, err := exec.LookPath(podman); err == nil {
			all = append(all, b.podmanPuller(path, ref))
		} else {
			fmt.Println("podman is not installed and does not take part: apt-get install --no-install-recommends podman")
		}
	}
	if wanted(floor) {
		all = append(all, b.floorPuller(layers))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("nobody is called %q", only)
	}
	return all, nil
}

func daemonPuller(name string, d *harness.Daemon, cli harness.CLI, ref string) *puller {
	do := func(args ...string) error {
		cmd := d.Command(cli, args...)
		cmd.Patience = 5 * time.Minute
		r, err := cmd.Run(context.Background())
		if err == nil && r.Code != 0 {
			err = errors.New(strings.TrimSpace(r.Stderr))
		}
		return err
	}
	return &puller{
		name: name,
		pull: func() (s spent, err error) {
			if err := resetPeak(d.Pid()); err != nil {
				return s, err
			}
			before, began := cpuOfAll(d.Pid()), time.Now()
			err = do("pull", "-q", ref)
			s.wall = time.Since(began)
			s.cpu = cpuOfAll(d.Pid()) - before
			s.peak = peakRSS(d.Pid())
			return s, err
		},
		remove: func() error { return do("rmi", "-f", ref) },
	}
}

func (b *bench) podmanPuller(path, ref string) *puller {
	dir := filepath.Join(b.disk(), podman)
	b.undo = append(b.undo, func() error { return os.RemoveAll(dir) })
	do := func(args ...string) (spent, error) {
		if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
			return spent{}, err
		}
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o600); err != nil { // it wants one to be there
			return spent{}, err
		}
		cmd := exec.Command(path, append([]string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(b.runDir, podman), "--storage-driver", "overlay",
			"--tmpdir", filepath.Join(b.runDir, "podman-tmp"), "--events-backend", "none"}, args...)...)
		cmd.Env = append(harness.CleanEnv(), "TMPDIR="+filepath.Join(dir, "tmp"), "HOME="+dir, "DOCKER_CONFIG="+dir)
		return timed(cmd)
	}
	b.undo = append(b.undo, func() error { // its folder of layers is a mount
		if err := unix.Unmount(filepath.Join(dir, "root", "overlay"), unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
			return err
		}
		return nil
	})
	return &puller{
		name: podman,
		pull: func() (spent, error) { return do("pull", "-q", "--tls-verify=false", ref) },
		remove: func() error {
			_, err := do("rmi", "-f", ref)
			return err
		},
	}
}

// timed runs a program that does all of its work itself.
func timed(cmd *exec.Cmd) (spent, error) {
	began := time.Now()
	out, err := cmd.CombinedOutput()
	s := spent{wall: time.Since(began)}
	if err != nil {
		return s, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, out)
	}
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.peak = float64(usage.Maxrss) / 1024
	}
	return s, nil
}

// floorPuller unpacks the layers with tar and gzip, two at a time, and syncs the file system.
func (b *bench) floorPuller(layers []layer) *puller {
	dir := filepath.Join(b.disk(), floor)
	return &puller{
		name: floor,
		pull: func() (s spent, err error) {
			var g errgroup.Group
			var mu sync.Mutex
			g.SetLimit(2)
			began := time.Now()
			for i, l := range layers {
				to := filepath.Join(dir, strconv.Itoa(i))
				if err := os.MkdirAll(to, 0o755); err != nil {
					return s, err
				}
				g.Go(func() error {
					one, err := timed(exec.Command("tar", "-xzf", l.path, "-C", to))
					mu.Lock()
					defer mu.Unlock()
					s.cpu += one.cpu
					return err
				})
			}
			if err := g.Wait(); err != nil {
				return s, err
			}
			one, err := timed(exec.Command("sync", "-f", dir))
			s.cpu += one.cpu
			s.wall = time.Since(began)
			return s, err
		},
		remove: func() error { return os.RemoveAll(dir) },
	}
}

// disk is where everybody keeps the files of the image.
func (b *bench) disk() string { return filepath.Join(b.dir, "disk") }

// mountDisk makes a file system for the image: ext4 as mkfs makes it. An ext4 without a journal, as some virtual
// machines have for their root, does not give the inodes of removed files away again for a minute or more, and
// searches past all of them for each new file: after the image was removed that would be most of what is measured.
func (b *bench) mountDisk() error {
	file := filepath.Join(b.dir, "disk.img")
	if err := errors.Join(os.Mkdir(b.disk(), 0o755), os.WriteFile(file, nil, 0o600), os.Truncate(file, 8<<30)); err != nil {
		return err
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", file).CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, out)
	}
	// Past the cache of the file system below: one is enough.
	out, err := exec.Command("losetup", "--direct-io=on", "--show", "--find", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("losetup: %w: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	b.undo = append(b.undo, func() error { return exec.Command("losetup", "--detach", device).Run() })
	if err := unix.Mount(device, b.disk(), "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", device, err)
	}
	b.undo = append(b.undo, func() error { return unix.Unmount(b.disk(), 0) })
	return nil
}

func syncDisk(dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Syncfs(fd)
}

// cpuOfAll is the processor time of a process and of the children that it has waited for.
func cpuOfAll(pid int) time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	words := strings.Fields(rest)
	if len(words) < 15 {
		return 0
	}
	sum := 0
	for _, w := range words[11:15] {
		n, _ := strconv.Atoi(w)
		sum += n
	}
	return time.Duration(sum) * 10 * time.Millisecond
}

// resetPeak makes the kernel begin anew with the peak of a process.
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// peakRSS is the most memory that a process has had since, in MB.
func peakRSS(pid int) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			kb, _ := strconv.ParseFloat(f[1], 64)
			return kb / 1024
		}
	}
	return 0
}
