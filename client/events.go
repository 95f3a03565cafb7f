package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"text/template"
	"time"

	"github.com/jobengine/engine/client/table"
	"github.com/jobengine/engine/client/timestamp"
	"github.com/moby/moby/api/types/events"
)

// CmdEvents prints what happens, as it happens.
func (System) CmdEvents(c *Cmd, args ...string) error {
	c.Describe("events [OPTIONS]", "Get real time events from the server", "system events")
	f := c.Flags()
	since := f.String("since", "", "Show all events created since timestamp")
	until := f.String("until", "", "Stream events until this timestamp")
	filter := filters{}
	f.VarP(filter, "filter", "f", "Filter output based on conditions provided")
	format := objectFormat(f, "")
	if _, err := c.Parse(args, NoArgs); err != nil {
		return err
	}
	tmpl, err := eventTemplate(*format)
	if err != nil {
		return &StatusError{Code: 64, Text: "Error parsing format: " + err.Error()}
	}
	query := url.Values{}
	filter.addTo(query)
	for name, value := range map[string]string{"since": *since, "until": *until} {
		if value == "" {
			continue
		}
		t, err := timestamp.Parse(value, time.Now())
		if err != nil {
			return err
		}
		query.Set(name, t)
	}
	resp, err := c.API().Do(c.Context(), http.MethodGet, "/events", query, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	for {
		var e events.Message
		switch err := dec.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if tmpl == nil {
			fmt.Fprintln(c.Out, eventLine(e))
			continue
		}
		if err := tmpl.Execute(c.Out, e); err != nil {
			return err
		}
		c.println()
	}
}

func eventTemplate(format string) (*template.Template, error) {
	switch format {
	case "":
		return nil, nil
	case "json":
		format = "{{json .}}"
	}
	tmpl, err := table.Parse(format)
	if err == nil {
		err = tmpl.Execute(io.Discard, &events.Message{}) // a wrong field shows now, not at the first event
	}
	return tmpl, err
}

// eventLine is TIME TYPE ACTION ID (NAME=VALUE, …), names sorted.
func eventLine(e events.Message) string {
	const fixedNano = "2006-01-02T15:04:05.000000000Z07:00"
	var b strings.Builder
	switch {
	case e.TimeNano != 0:
		b.WriteString(time.Unix(0, e.TimeNano).Format(fixedNano) + " ")
	case e.Time != 0:
		b.WriteString(time.Unix(e.Time, 0).Format(fixedNano) + " ")
	}
	fmt.Fprintf(&b, "%s %s %s", e.Type, e.Action, e.Actor.ID)
	if len(e.Actor.Attributes) > 0 {
		var attributes []string
		for k, v := range e.Actor.Attributes {
			attributes = append(attributes, k+"\x00"+v) // sorted by name alone
		}
		sort.Strings(attributes)
		for i, a := range attributes {
			attributes[i] = strings.Replace(a, "\x00", "=", 1)
		}
		fmt.Fprintf(&b, " (%s)", strings.Join(attributes, ", "))
	}
	return b.String()
}
