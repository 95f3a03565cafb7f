// Package progress prints the daemon's JSON messages of pull, push, load and
// import: lines that are drawn over on a terminal, plain lines elsewhere.
package progress

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/jsonstream"
)

// Show prints the messages of in until it ends. width is the terminal's, 0 when
// out is none. An error among the messages ends it and is returned.
func Show(in io.Reader, out io.Writer, width int) error {
	dec := json.NewDecoder(in)
	lines := map[string]int{} // where each id's line is, counted from the first
	for {
		var m jsonstream.Message
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if m.Error != nil {
			return m.Error
		}
		if m.Aux != nil {
			continue
		}
		if width == 0 {
			plain(out, m)
			continue
		}
		if m.ID == "" || m.Progress == nil {
			// Lines without an id cannot be found again, so those before them
			// are not drawn over any more.
			clear(lines)
			plain(out, m)
			continue
		}
		line, seen := lines[m.ID]
		if !seen {
			line = len(lines)
			lines[m.ID] = line
			fmt.Fprint(out, "\n")
		}
		up := len(lines) - line
		fmt.Fprintf(out, "\x1b[%dA\x1b[2K\r%s: %s %s\r\x1b[%dB", up, m.ID, m.Status, Bar(*m.Progress, width), up)
	}
}

// plain prints a message as a line; a bar's many steps are left out.
func plain(out io.Writer, m jsonstream.Message) {
	if m.Progress != nil && (m.Progress.Current > 0 || m.Progress.Total > 0) {
		return
	}
	if m.ID != "" {
		fmt.Fprintf(out, "%s: ", m.ID)
	}
	if m.Stream != "" {
		fmt.Fprint(out, m.Stream)
		return
	}
	fmt.Fprintln(out, m.Status)
}

// Bar draws how far something is: a bar when there is room for it, then amounts.
func Bar(p jsonstream.Progress, width int) string {
	if p.Current <= 0 && p.Total <= 0 {
		return ""
	}
	amount := func(n int64) string {
		if p.Units != "" {
			return fmt.Sprint(n)
		}
		return units.HumanSize(float64(n))
	}
	unit := ""
	if p.Units != "" {
		unit = " " + p.Units
	}
	if p.Total <= 0 {
		return fmt.Sprintf("%8v", amount(p.Current)+unit)
	}
	half := min(int(float64(p.Current)/float64(p.Total)*100)/2, 50)
	var b strings.Builder
	if width > 110 {
		fmt.Fprintf(&b, "[%s>%s] ", strings.Repeat("=", half), strings.Repeat(" ", 50-half))
	}
	if !p.HideCounts {
		switch {
		case p.Current > p.Total: // a total that was a wrong guess
			fmt.Fprintf(&b, "%8v%s", amount(p.Current), unit)
		default:
			fmt.Fprintf(&b, "%8v/%v%s", amount(p.Current), amount(p.Total), unit)
		}
	}
	if width > 50 && p.Current > 0 && p.Start > 0 && half < 50 {
		each := time.Since(time.Unix(p.Start, 0)) / time.Duration(p.Current)
		fmt.Fprintf(&b, " %s", (time.Duration(p.Total-p.Current) * each).Round(time.Second))
	}
	return b.String()
}
