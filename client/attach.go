package client

import (
	"errors"

	"github.com/moby/moby/api/types/container"
)

// CmdAttach connects the CLI to a container that runs.
func (Containers) CmdAttach(c *Cmd, args ...string) error {
	c.Describe("attach [OPTIONS] CONTAINER", "Attach local standard input, output, and error streams to a running container", "container attach")
	noStdin := c.Flags().Bool("no-stdin", false, "Do not attach STDIN")
	sigProxy := c.Flags().Bool("sig-proxy", true, "Proxy all received signals to the process")
	keys := c.Flags().String("detach-keys", "", "Override the key sequence for detaching a container")
	args, err := c.Parse(args, Exactly(1))
	if err != nil {
		return err
	}
	found, err := c.attachable(args[0])
	if err != nil {
		return err
	}
	if err := c.needTerminal(!*noStdin, found.Config.Tty); err != nil {
		return err
	}
	ended, err := c.openWait(c.background(), found.ID, "")
	if err != nil {
		return err
	}
	if *sigProxy && !found.Config.Tty {
		defer c.forwardSignals(found.ID)()
	}
	r := foreground{
		id:     found.ID,
		config: found.Config,
		stdin:  !*noStdin && found.Config.OpenStdin,
		stdout: true,
		stderr: true,
		keys:   c.detachKeys(*keys),
	}
	conn, err := c.attach(c.background(), r)
	if err != nil {
		return err
	}
	defer conn.Close()
	// It may have ended between the question and the attach, whose streams
	// would then never end.
	if _, err := c.attachable(found.ID); err != nil {
		return err
	}
	if _, ok := terminal(c.Out); ok && found.Config.Tty {
		// A program draws its prompt again only when the size really changes.
		h, w := windowSize(c.Out)
		c.resize("/containers/"+found.ID, h+1, w+1)
		defer c.followSize("/containers/" + found.ID)()
	}
	ctx := c.Context()
	if *sigProxy && !found.Config.Tty {
		ctx = c.background() // an interrupt is the container's
	}
	if err := c.copyStreams(ctx, conn, r.streams(c)); err != nil {
		return err
	}
	result := <-ended
	if result.err != nil {
		return result.err
	}
	return exitWith(result.code)
}

// attachable inspects a container and says why one cannot attach to it now.
func (c *Cmd) attachable(name string) (*container.InspectResponse, error) {
	var found container.InspectResponse
	if err := c.API().Get(c.background(), "/containers/"+name+"/json", nil, &found); err != nil {
		return nil, err
	}
	switch {
	case !found.State.Running:
		return nil, errors.New("You cannot attach to a stopped container, start it first")
	case found.State.Paused:
		return nil, errors.New("You cannot attach to a paused container, unpause it first")
	case found.State.Restarting:
		return nil, errors.New("You cannot attach to a restarting container, wait until it is running")
	}
	return &found, nil
}
