package client

import "io"

// CmdSystemDialStdio joins standard input and output with a connection to the
// daemon. It is the far end of ssh:// hosts.
func (System) CmdSystemDialStdio(c *Cmd, args ...string) error {
	c.Describe("system dial-stdio", "Proxy the stdio stream to the daemon connection. Should not be invoked manually.").Hidden()
	if _, err := c.Parse(args, NoArgs); err != nil {
		return err
	}
	conn, err := c.API().Dial(c.Context())
	if err != nil {
		return err
	}
	defer conn.Close()
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, c.In)
		if half, ok := conn.(interface{ CloseWrite() error }); ok && err == nil {
			err = half.CloseWrite()
		}
		sent <- err
	}()
	received := make(chan error, 1)
	go func() {
		_, err := io.Copy(c.Out, conn)
		received <- err
	}()
	// Standard input may never end (a terminal), so the daemon's end is enough.
	select {
	case err := <-received:
		return err
	case err := <-sent:
		if err != nil {
			return err
		}
		return <-received
	}
}
