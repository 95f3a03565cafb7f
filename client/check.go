package client

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/jobengine/engine/client/table"
)

// finding is a row of system check.
type finding struct {
	Kind, Object, Problem, Action string
	Repaired                      bool
}

// CmdSystemCheck looks for damage and for what nobody owns. The exit code is 1
// when something is left that is not as it should be.
func (System) CmdSystemCheck(c *Cmd, args ...string) error {
	c.Describe("system check [OPTIONS]", "Look for damaged objects and for what nobody owns")
	repair := c.Flags().Bool("repair", false, "Repair what can be repaired without losing an object")
	full := c.Flags().Bool("full", false, "Read the files of all layers and compare them with their digests")
	format := c.Flags().String("format", "", listFormatHelp)
	if _, err := c.Parse(args, NoArgs); err != nil {
		return err
	}
	query := url.Values{}
	if *repair {
		query.Set("repair", "1")
	}
	if *full {
		query.Set("full", "1")
	}
	var out struct{ Findings []finding }
	if err := c.API().Post(c.Context(), "/system/check", query, nil, &out); err != nil {
		return err
	}
	left := 0
	for _, f := range out.Findings {
		if !f.Repaired {
			left++
		}
	}
	switch {
	case *format == "json":
		text, err := json.MarshalIndent(out.Findings, "", "  ")
		if err != nil {
			return err
		}
		c.println(string(text))
	case len(out.Findings) == 0 && *format == "":
		c.println("Nothing is damaged, and nothing is there that nobody owns.")
	default:
		if *format == "" || *format == "table" {
			*format = "table {{.Kind}}\t{{.Object}}\t{{.Problem}}\t{{.Action}}"
		}
		rows := make([]*finding, len(out.Findings))
		for i := range out.Findings {
			rows[i] = &out.Findings[i]
		}
		err := table.Write(c.Out, *format, table.Headings{"Kind": "KIND", "Object": "OBJECT", "Problem": "PROBLEM", "Action": "ACTION", "Repaired": "REPAIRED"}, rows)
		if err != nil {
			return err
		}
	}
	if left > 0 {
		return &StatusError{Code: 1, Text: fmt.Sprintf("%d of %d findings are left", left, len(out.Findings))}
	}
	return nil
}
