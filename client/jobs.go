package client

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/docker/go-units"
	"github.com/jobengine/engine/client/table"
)

// Jobs has the commands that deal with the engine's own jobs.
type Jobs struct{}

// runningJob is a row of GET /jobs.
type runningJob struct {
	ID      uint64
	Name    string
	Job     string // with its arguments: wait(web)
	Caller  string
	Started time.Time
}

// CmdJobs lists the jobs that run in the daemon now, or all names that there are.
func (Jobs) CmdJobs(c *Cmd, args ...string) error {
	c.Describe("jobs [OPTIONS]", "List the jobs that the engine is running")
	names := c.Flags().Bool("names", false, "List the names of all jobs instead")
	format := c.Flags().String("format", "", listFormatHelp)
	if _, err := c.Parse(args, NoArgs); err != nil {
		return err
	}
	if *names {
		var all struct{ Names []string }
		if err := c.API().Post(c.Context(), "/jobs/commands", nil, nil, &all); err != nil {
			return err
		}
		for _, name := range all.Names {
			c.println(name)
		}
		return nil
	}
	var list []runningJob
	if err := c.API().Get(c.Context(), "/jobs", nil, &list); err != nil {
		return err
	}
	rows := make([]*jobRow, len(list))
	for i := range list {
		rows[i] = &jobRow{list[i]}
	}
	if *format == "" || *format == "table" {
		*format = "table {{.ID}}\t{{.Name}}\t{{.Caller}}\t{{.Started}}"
	}
	return table.Write(c.Out, *format, table.Headings{
		"ID": "ID", "Name": "NAME", "Job": "JOB", "Caller": "CALLER", "Started": "STARTED", "StartedAt": "STARTED AT",
	}, rows)
}

// jobRow is a running job as the templates see it.
type jobRow struct{ j runningJob }

func (r *jobRow) MarshalJSON() ([]byte, error) { return table.JSON(r) }

func (r *jobRow) ID() string        { return strconv.FormatUint(r.j.ID, 10) }
func (r *jobRow) Name() string      { return r.j.Name }
func (r *jobRow) Job() string       { return r.j.Job }
func (r *jobRow) Caller() string    { return r.j.Caller }
func (r *jobRow) StartedAt() string { return r.j.Started.Format(time.RFC3339Nano) }
func (r *jobRow) Started() string   { return units.HumanDuration(time.Since(r.j.Started)) + " ago" }

// CmdJobsCancel cancels a running job.
func (Jobs) CmdJobsCancel(c *Cmd, args ...string) error {
	c.Describe("jobs cancel ID [ID...]", "Cancel running jobs")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	return c.each(args, func(id string) error {
		resp, err := c.API().Do(c.Context(), http.MethodDelete, "/jobs/"+id, url.Values{}, nil)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}
