package client_test

import (
	"context"
	"fmt"
	"os"

	"github.com/jobengine/engine/client"
)

// Greetings has the commands of somebody else's program.
type Greetings struct{}

// CmdHello is found as `engine hello` and, because it says so, as `engine
// system hello`; both help texts list it.
func (*Greetings) CmdHello(c *client.Cmd, args ...string) error {
	c.Describe("hello [OPTIONS] NAME", "Greet someone", "system hello")
	loud := c.Flags().BoolP("loud", "l", false, "Greet louder")
	args, err := c.Parse(args, client.Exactly(1))
	if err != nil {
		return err
	}
	end := "."
	if *loud {
		end = "!"
	}
	_, err = fmt.Fprintf(c.Out, "Hello %s%s\n", args[0], end)
	return err
}

func ExampleWith() {
	cli := client.New(client.With(&Greetings{}), client.WithStreams(nil, os.Stdout, os.Stdout))
	cli.Run(context.Background(), []string{"hello", "-l", "reader"})
	cli.Run(context.Background(), []string{"system", "hello"})
	// Output:
	// Hello reader!
	// engine: 'engine system hello' requires 1 argument
	//
	// Usage:  engine system hello [OPTIONS] NAME
	//
	// Run 'engine system hello --help' for more information
}
