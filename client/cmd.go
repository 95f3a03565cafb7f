package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Cmd is one invocation of a command: its description, its flags, and
// everything it needs to do its work.
type Cmd struct {
	*CLI
	ctx    context.Context
	mode   mode
	called []string // the words it was called by

	usage, short string
	aliases      []string
	category     category
	order        int
	hidden       bool
	flags        *pflag.FlagSet
	run          commandFunc
}

type mode int

const (
	modeRun      mode = iota
	modeDescribe      // stop at Parse: help is being made
	modeHelp          // print help at Parse
)

type category int

const (
	other category = iota
	common
	management
)

// errDescribed ends a command's method at Parse when only its description or
// its help was wanted.
var errDescribed = errors.New("described")

func (c *CLI) newCmd(ctx context.Context, m mode, called ...string) *Cmd {
	return &Cmd{CLI: c, ctx: ctx, mode: m, called: called}
}

// Context ends when the user interrupts.
func (c *Cmd) Context() context.Context { return c.ctx }

// Describe names the command: its usage ("rename CONTAINER NEW_NAME"), one
// line of what it does, and the other names it goes by. The first of those
// that belongs to a group ("container rename") is the one shown when it was
// called through the group.
func (c *Cmd) Describe(usage, short string, aliases ...string) *Cmd {
	c.usage, c.short, c.aliases = usage, short, aliases
	c.flags = pflag.NewFlagSet(c.path(), pflag.ContinueOnError)
	c.flags.SetOutput(c.Out) // notes on deprecated flags go where docker's go
	c.flags.Usage = func() {}
	c.flags.SortFlags = true
	return c
}

// Common puts the command among the common ones of the help, in this place.
func (c *Cmd) Common(order int) *Cmd {
	c.category, c.order = common, order
	return c
}

// Hidden keeps the command out of the help's lists.
func (c *Cmd) Hidden() *Cmd {
	c.hidden = true
	return c
}

// Flags is where the command declares its flags, between Describe and Parse.
func (c *Cmd) Flags() *pflag.FlagSet { return c.flags }

// path is the command's name as called, "container ls", without the program's.
func (c *Cmd) path() string {
	if len(c.called) > 1 {
		for _, a := range c.names() {
			if strings.HasPrefix(a, c.called[0]+" ") {
				return a
			}
		}
	}
	return c.name()
}

// name is the part of the usage before the first argument.
func (c *Cmd) name() string {
	end := strings.IndexFunc(c.usage, func(r rune) bool { return r >= 'A' && r <= 'Z' || r == '[' || r == '|' })
	if end < 0 {
		return c.usage
	}
	return strings.TrimSpace(c.usage[:end])
}

// names are all full names of the command.
func (c *Cmd) names() []string { return append([]string{c.name()}, c.aliases...) }

// useLine is the usage with the name it was called by.
func (c *Cmd) useLine() string {
	return "engine " + c.path() + strings.TrimPrefix(c.usage, c.name())
}

// Args checks how many arguments there are.
type Args struct {
	min, max int // max -1: any number
}

// AtLeast wants n arguments or more.
func AtLeast(n int) Args { return Args{n, -1} }

// Exactly wants n arguments.
func Exactly(n int) Args { return Args{n, n} }

// Between wants min to max arguments.
func Between(min, max int) Args { return Args{min, max} }

// NoArgs wants none.
var NoArgs = Args{}

func plural(n int) string {
	if n == 1 {
		return "argument"
	}
	return "arguments"
}

func (a Args) check(c *Cmd, n int) error {
	if n >= a.min && (a.max < 0 || n <= a.max) {
		return nil
	}
	var want string
	see := "Run"
	switch {
	case a.max == 0:
		want = "accepts no arguments"
	case a.max < 0:
		want, see = fmt.Sprintf("requires at least %d %s", a.min, plural(a.min)), "See"
	case a.min == a.max:
		want = fmt.Sprintf("requires %d %s", a.min, plural(a.min))
	case a.min == 0:
		want = fmt.Sprintf("requires at most %d %s", a.max, plural(a.max))
	default:
		want = fmt.Sprintf("requires at least %d and at most %d %s", a.min, a.max, plural(a.max))
	}
	return fmt.Errorf("engine: 'engine %s' %s\n\nUsage:  %s\n\n%s 'engine %s --help' for more information",
		c.path(), want, c.useLine(), see, c.path())
}

// Parse reads the flags and checks the number of arguments, which it returns.
// A command returns Parse's error as it is: it also says that help was all
// that was wanted.
func (c *Cmd) Parse(args []string, need Args) ([]string, error) {
	if c.mode == modeDescribe {
		return nil, errDescribed
	}
	if c.flags.Lookup("help") == nil {
		if c.flags.ShorthandLookup("h") == nil {
			c.flags.BoolP("help", "h", false, "Print usage")
			c.flags.MarkShorthandDeprecated("help", "use --help")
		} else {
			c.flags.Bool("help", false, "Print usage")
		}
		c.flags.Lookup("help").Hidden = true
	}
	if c.mode == modeHelp {
		c.printHelp()
		return nil, errDescribed
	}
	if err := c.flags.Parse(args); err != nil {
		return nil, &StatusError{Code: 125, Text: fmt.Sprintf("%s\n\nUsage:  %s\n\nRun 'engine %s --help' for more information",
			err, c.useLine(), c.path())}
	}
	if help, _ := c.flags.GetBool("help"); help {
		c.printHelp()
		return nil, errDescribed
	}
	return c.flags.Args(), need.check(c, c.flags.NArg())
}

// Group makes the command the head of a group: it runs the member that the
// first argument names, or prints the list of members.
func (c *Cmd) Group(name, short string, args []string) error {
	c.Describe(name, short)
	c.category = management
	c.flags.SetInterspersed(false)
	rest, err := c.Parse(args, AtLeast(0))
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		c.groupHelp(c.Err)
		return nil
	}
	if m := c.member(c.ctx, name, rest[0]); m != nil {
		return m.run(c.newCmd(c.ctx, c.mode, name, rest[0]), rest[1:]...)
	}
	return fmt.Errorf("engine: unknown command: engine %s %s\n\nUsage:  engine %s\n\nRun 'engine %s --help' for more information",
		name, rest[0], name, name)
}

// println writes a line to the command's output.
func (c *Cmd) println(a ...any) { fmt.Fprintln(c.Out, a...) }
