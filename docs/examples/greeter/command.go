package main

import (
	"fmt"
	"net/url"

	"github.com/jobengine/engine/client"
)

// Greetings holds our client commands: each Cmd* method is one.
type Greetings struct{}

// CmdGreet is `greeter greet [--loud] NAME`.
func (Greetings) CmdGreet(c *client.Cmd, args ...string) error {
	c.Describe("greet [OPTIONS] NAME", "Greet somebody")
	loud := c.Flags().Bool("loud", false, "Greet loudly")
	args, err := c.Parse(args, client.Exactly(1))
	if err != nil {
		return err
	}
	// The dynamic door: arguments and environment of the job, by name.
	query := url.Values{"arg": args, "env": {fmt.Sprintf("Loud=%t", *loud)}}
	var out GreetOut
	if err := c.API().Post(c.Context(), "/jobs/greet", query, nil, &out); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.Out, out.Text)
	return err
}
