package images

import (
	"fmt"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/jsonstream"

	"github.com/jobengine/engine/engine"
)

// answer is progress that begins with its first message: an error before that is
// a status of HTTP.
type answer struct {
	open    func() error
	streams *engine.Streams // where to write to, once open
	p       *progress
	err     error
}

func newAnswer(open func() error, streams *engine.Streams) *answer {
	return &answer{open: open, streams: streams}
}

// send writes a message. The error says that the client is gone.
func (a *answer) send(m jsonstream.Message) error {
	if a.p == nil && a.err == nil {
		if a.err = a.open(); a.err == nil {
			a.p = newProgress(a.streams.Stdout)
		}
	}
	if a.err != nil {
		return a.err
	}
	a.p.send(m)
	return nil
}

func (a *answer) close() {
	if a.p != nil {
		a.p.close()
	}
}

// barText is the bar that clients print who do not draw their own.
func barText(p *jsonstream.Progress) string {
	if p == nil || p.Current <= 0 && p.Total <= 0 {
		return ""
	}
	current := units.HumanSize(float64(p.Current))
	if p.Total <= 0 {
		return fmt.Sprintf("%8v", current)
	}
	half := min(int(float64(p.Current)/float64(p.Total)*100)/2, 50)
	bar := fmt.Sprintf("[%s>%s] ", strings.Repeat("=", half), strings.Repeat(" ", 50-half))
	if p.Current > p.Total {
		return bar + fmt.Sprintf("%8v", current)
	}
	return bar + fmt.Sprintf("%8v/%v", current, units.HumanSize(float64(p.Total)))
}
