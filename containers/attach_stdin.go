package containers

import (
	"context"
	"errors"
	"io"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/containers/streams"
	"github.com/jobengine/engine/internal/detachkeys"
)

// openStdin opens the container's side of what the client types.
func (a *attachment) openStdin(ctx context.Context) (io.WriteCloser, error) {
	if a.s.Config.Tty {
		return a.c.runtime.TTY(ctx, a.ct.id)
	}
	return a.c.runtime.OpenStdin(a.ct.id)
}

// copyStdin gives the container what the client types. The end of it is the end
// of the container's own input if the container was made for one client; else
// the client may listen on. A terminal's input can't end, so there the client leaves.
func (a *attachment) copyStdin(ctx context.Context, to io.WriteCloser, from io.Reader, leave func()) {
	if a.s.Config.Tty {
		from = detachkeys.NewReader(from, a.keys)
	}
	_, err := io.Copy(streams.OnlyWriter{Writer: to}, from)
	switch {
	case errors.Is(err, detachkeys.ErrDetached):
		a.c.event(a.ct.Snapshot(), events.ActionDetach)
		leave()
	case streams.IsBroken(err) && ctx.Err() == nil:
		// The run or its input has ended. Reading goes on, so that the client's end
		// is noticed.
		_, _ = io.Copy(io.Discard, from)
	case a.s.Config.Tty:
		leave()
	case a.s.Config.StdinOnce:
		to.Close()
		if err := a.c.runtime.CloseStdin(context.WithoutCancel(ctx), a.ct.id); err != nil && !errors.Is(err, ErrAbsent) && !errors.Is(err, ErrNotRunning) {
			a.c.log.Errorf("container %s: close stdin: %v", a.ct.id, err)
		}
	}
}
