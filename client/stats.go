package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	units "github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/client/table"
)

// statsRefresh is how often the table is drawn again.
const statsRefresh = 500 * time.Millisecond

// CmdStats shows what containers use.
func (Containers) CmdStats(c *Cmd, args ...string) error {
	c.Describe("stats [OPTIONS] [CONTAINER...]", "Display a live stream of container(s) resource usage statistics", "container stats")
	f := c.Flags()
	all := f.BoolP("all", "a", false, "Show all containers (default shows just running)")
	noStream := f.Bool("no-stream", false, "Disable streaming stats and only pull the first result")
	noTrunc := f.Bool("no-trunc", false, "Do not truncate output")
	format := f.String("format", "", listFormatHelp)
	args, err := c.Parse(args, AtLeast(0))
	if err != nil {
		return err
	}
	if *format != "" {
		if err := table.Check(*format, &statsRow{}); err != nil {
			return err
		}
	}
	show := &statsTable{c: c, format: *format, trunc: !*noTrunc}
	if *noStream {
		return show.once(args, *all)
	}
	return show.live(args, *all)
}

// statsTable is what is shown.
type statsTable struct {
	c      *Cmd
	format string
	trunc  bool
}

func (t *statsTable) names(args []string, all bool) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	query := url.Values{}
	if all {
		query.Set("all", "1")
	}
	var list []container.Summary
	if err := t.c.API().Get(t.c.Context(), "/containers/json", query, &list); err != nil {
		return nil, err
	}
	var names []string
	for _, s := range list {
		names = append(names, s.ID)
	}
	return names, nil
}

// once asks for a pair of readings of each container, all at a time.
func (t *statsTable) once(args []string, all bool) error {
	names, err := t.names(args, all)
	if err != nil {
		return err
	}
	rows, errs := make([]*statsRow, len(names)), make([]error, len(names))
	var wait sync.WaitGroup
	for i, name := range names {
		wait.Go(func() {
			rows[i] = &statsRow{asked: name, trunc: t.trunc}
			errs[i] = t.c.API().Get(t.c.Context(), "/containers/"+name+"/stats", url.Values{"stream": {"0"}}, &rows[i].s)
		})
	}
	wait.Wait()
	var there []*statsRow
	var failed []error
	for i, err := range errs {
		if err == nil {
			there = append(there, rows[i])
		} else if len(args) > 0 { // others may have gone since they were listed
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	return t.write(there)
}

func (t *statsTable) write(rows []*statsRow) error {
	format := t.format
	if format == "" || format == "table" {
		format = "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"
	}
	return table.Write(t.c.Out, format, map[string]string{
		"Container": "CONTAINER", "ID": "CONTAINER ID", "Name": "NAME", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT",
		"MemPerc": "MEM %", "NetIO": "NET I/O", "BlockIO": "BLOCK I/O", "PIDs": "PIDS",
	}, rows)
}

// live follows each container and draws the table again and again. With named containers
// it ends when the last of them has gone; without, it looks for new ones.
func (t *statsTable) live(args []string, all bool) error {
	ctx, stop := context.WithCancel(t.c.Context())
	defer stop()
	var mu sync.Mutex
	rows := map[string]*statsRow{}
	var order []string
	var failures []error
	follow := func(name string) {
		mu.Lock()
		defer mu.Unlock()
		if rows[name] != nil {
			return
		}
		rows[name] = &statsRow{asked: name, trunc: t.trunc, waits: true}
		order = append(order, name)
		go func() {
			err := t.follow(ctx, name, func(s container.StatsResponse) {
				mu.Lock()
				defer mu.Unlock()
				rows[name] = &statsRow{asked: name, trunc: t.trunc, s: s}
			})
			mu.Lock()
			defer mu.Unlock()
			delete(rows, name)
			for i := range order {
				if order[i] == name {
					order = append(order[:i:i], order[i+1:]...)
					break
				}
			}
			if err != nil && len(args) > 0 && ctx.Err() == nil {
				failures = append(failures, err)
			}
		}()
	}
	tick := time.NewTicker(statsRefresh)
	defer tick.Stop()
	for looked := false; ; looked = true {
		if len(args) == 0 || !looked {
			names, err := t.names(args, all)
			if err != nil {
				return err
			}
			for _, name := range names {
				follow(name)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		mu.Lock()
		var shown []*statsRow
		for _, name := range order {
			shown = append(shown, rows[name])
		}
		failed := errors.Join(failures...)
		mu.Unlock()
		if failed != nil {
			return failed
		}
		if len(args) > 0 && len(shown) == 0 {
			return nil
		}
		fmt.Fprint(t.c.Out, "\033[2J\033[H") // an empty screen, from its top
		if err := t.write(shown); err != nil {
			return err
		}
	}
}

// follow reads what the daemon tells of a container until it says no more.
func (t *statsTable) follow(ctx context.Context, name string, told func(container.StatsResponse)) error {
	resp, err := t.c.API().Do(ctx, http.MethodGet, "/containers/"+name+"/stats", url.Values{"stream": {"1"}}, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	for {
		var s container.StatsResponse
		if err := dec.Decode(&s); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		told(s)
	}
}

// statsRow is a container in the table.
type statsRow struct {
	asked string
	trunc bool
	waits bool // nothing was told yet
	s     container.StatsResponse
}

// Container is the container as the user named it.
func (r *statsRow) Container() string { return r.asked }

// Name is the container's name.
func (r *statsRow) Name() string {
	if name := strings.TrimPrefix(r.s.Name, "/"); name != "" {
		return name
	}
	return "--"
}

// ID is the container's id, short unless it was asked for whole.
func (r *statsRow) ID() string {
	if r.trunc && len(r.s.ID) > 12 {
		return r.s.ID[:12]
	}
	return r.s.ID
}

// CPUPerc is the time on CPUs since the reading before, in percent of one CPU.
func (r *statsRow) CPUPerc() string {
	if r.waits {
		return "--"
	}
	now, then := r.s.CPUStats, r.s.PreCPUStats
	used := float64(now.CPUUsage.TotalUsage) - float64(then.CPUUsage.TotalUsage)
	host := float64(now.SystemUsage) - float64(then.SystemUsage)
	percent := 0.0
	if used > 0 && host > 0 {
		percent = used / host * float64(max(now.OnlineCPUs, 1)) * 100
	}
	return fmt.Sprintf("%.2f%%", percent)
}

// memory is what is used without the part of the cache that is easily given back.
func (r *statsRow) memory() float64 {
	m := r.s.MemoryStats
	for _, key := range []string{"total_inactive_file", "inactive_file"} { // cgroup v1, v2
		if n, ok := m.Stats[key]; ok && n < m.Usage {
			return float64(m.Usage - n)
		}
	}
	return float64(m.Usage)
}

// MemUsage is memory in use, and the limit.
func (r *statsRow) MemUsage() string {
	if r.waits {
		return "-- / --"
	}
	return units.BytesSize(r.memory()) + " / " + units.BytesSize(float64(r.s.MemoryStats.Limit))
}

// MemPerc is memory in percent of the limit.
func (r *statsRow) MemPerc() string {
	if r.waits {
		return "--"
	}
	percent := 0.0
	if limit := float64(r.s.MemoryStats.Limit); limit > 0 {
		percent = r.memory() / limit * 100
	}
	return fmt.Sprintf("%.2f%%", percent)
}

// NetIO is what was received and sent.
func (r *statsRow) NetIO() string {
	if r.waits {
		return "--"
	}
	var in, out float64
	for _, n := range r.s.Networks {
		in += float64(n.RxBytes)
		out += float64(n.TxBytes)
	}
	return units.HumanSizeWithPrecision(in, 3) + " / " + units.HumanSizeWithPrecision(out, 3)
}

// BlockIO is what was read from disks and written to them.
func (r *statsRow) BlockIO() string {
	if r.waits {
		return "--"
	}
	var read, written float64
	for _, e := range r.s.BlkioStats.IoServiceBytesRecursive {
		switch strings.ToLower(e.Op) {
		case "read":
			read += float64(e.Value)
		case "write":
			written += float64(e.Value)
		}
	}
	return units.HumanSizeWithPrecision(read, 3) + " / " + units.HumanSizeWithPrecision(written, 3)
}

// PIDs counts processes and threads.
func (r *statsRow) PIDs() string {
	if r.waits {
		return "--"
	}
	return fmt.Sprint(r.s.PidsStats.Current)
}
