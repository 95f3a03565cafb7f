package client

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jobengine/engine/client/table"
	"github.com/moby/moby/api/types/image"
)

// CmdHistory lists the steps that made an image.
func (Images) CmdHistory(c *Cmd, args ...string) error {
	c.Describe("history [OPTIONS] IMAGE", "Show the history of an image", "image history")
	f := c.Flags()
	human := f.BoolP("human", "H", true, "Print sizes and dates in human readable format")
	quiet := f.BoolP("quiet", "q", false, "Only show image IDs")
	noTrunc := f.Bool("no-trunc", false, "Don't truncate output")
	format := f.String("format", "", listFormatHelp)
	platform := f.String("platform", "", `Show history for the given platform. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")`)
	args, err := c.Parse(args, Exactly(1))
	if err != nil {
		return err
	}
	query := url.Values{}
	if err := addPlatform(query, *platform); err != nil {
		return err
	}
	var list []image.HistoryResponseItem
	if err := c.API().Get(c.Context(), "/images/"+args[0]+"/history", query, &list); err != nil {
		return err
	}
	rows := make([]*historyRow, len(list))
	for i := range list {
		rows[i] = &historyRow{list[i], !*noTrunc, *human}
	}
	if *format == "" || *format == "table" {
		created := "{{.CreatedSince}}"
		if !*human {
			created = "{{.CreatedAt}}"
		}
		*format = "table {{.ID}}\t" + created + "\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
		if *quiet {
			*format = table.Quiet
		}
	}
	return table.Write(c.Out, *format, table.Headings{
		"ID": "IMAGE", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT", "CreatedBy": "CREATED BY", "Size": "SIZE", "Comment": "COMMENT",
	}, rows)
}

// historyRow is one step as the templates see it.
type historyRow struct {
	h            image.HistoryResponseItem
	trunc, human bool
}

func (r *historyRow) MarshalJSON() ([]byte, error) { return table.JSON(r) }

func (r *historyRow) ID() string {
	if r.trunc {
		return table.ShortID(r.h.ID)
	}
	return r.h.ID
}

func (r *historyRow) CreatedAt() string { return time.Unix(r.h.Created, 0).Format(time.RFC3339) }

func (r *historyRow) CreatedSince() string {
	switch {
	case !r.human:
		return r.CreatedAt()
	case r.h.Created <= time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix():
		return "N/A" // a build that sets all times to a fixed one
	}
	return table.Ago(r.h.Created)
}

func (r *historyRow) CreatedBy() string {
	by := strings.ReplaceAll(r.h.CreatedBy, "\t", " ")
	if r.trunc {
		return table.Ellipsis(by, 45)
	}
	return by
}

func (r *historyRow) Size() string {
	if r.human {
		return table.Size(r.h.Size)
	}
	return strconv.FormatInt(r.h.Size, 10)
}

func (r *historyRow) Comment() string { return r.h.Comment }
