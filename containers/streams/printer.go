package streams

import (
	"context"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/jobengine/engine/logs/driver"
)

// Printer writes entries as docker does: a line may have its time and its
// attributes in front. A nil stream is left out.
type Printer struct {
	Stdout, Stderr      io.Writer
	Timestamps, Details bool

	inLine [3]bool // this stream's last entry was not the end of its line
	buf    []byte
}

// Copy prints until the end. A client that is gone is no error.
func (p *Printer) Copy(ctx context.Context, r driver.Reader) error {
	for {
		e, err := r.Next(ctx)
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if p.Print(e) != nil {
			return nil
		}
	}
}

// Print writes one entry.
func (p *Printer) Print(e *driver.Entry) error {
	w := p.Stdout
	if e.Stream == driver.Stderr {
		w = p.Stderr
	}
	if w == nil {
		return nil
	}
	line := e.Line
	if (p.Timestamps || p.Details) && !p.inLine[e.Stream] {
		p.buf = p.buf[:0]
		if p.Timestamps {
			p.buf = e.Time.UTC().AppendFormat(p.buf, timestampLayout)
			p.buf = append(p.buf, ' ')
		}
		if p.Details {
			p.buf = appendDetails(p.buf, e.Attrs)
			p.buf = append(p.buf, ' ')
		}
		p.buf = append(p.buf, line...)
		line = p.buf
	}
	p.inLine[e.Stream] = e.Partial
	_, err := w.Write(line)
	return err
}

// timestampLayout is time.RFC3339Nano with all nine digits, so that columns align.
const timestampLayout = "2006-01-02T15:04:05.000000000Z07:00"

// appendDetails adds "key=value,…", sorted by key and escaped as in a URL's query.
func appendDetails(dst []byte, attrs map[string]string) []byte {
	if len(attrs) == 0 {
		return dst
	}
	words := make([]string, 0, len(attrs))
	for k, v := range attrs {
		words = append(words, url.QueryEscape(k)+"="+url.QueryEscape(v))
	}
	slices.Sort(words)
	return append(dst, strings.Join(words, ",")...)
}
