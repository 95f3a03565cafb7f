package client

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

type mine struct{}

// CmdHello greets; CmdContainerLs and CmdPs stand in the built-in ones' way.
func (*mine) CmdHello(c *Cmd, args ...string) error {
	c.Describe("hello [OPTIONS] NAME", "Greet someone", "container hello")
	loud := c.Flags().BoolP("loud", "l", false, "Shout")
	args, err := c.Parse(args, Exactly(1))
	if err != nil {
		return err
	}
	text := "hello " + args[0]
	if *loud {
		text = strings.ToUpper(text)
	}
	c.println(text)
	return nil
}

func (*mine) CmdContainerLs(c *Cmd, args ...string) error { c.println("my ls", args); return nil }
func (*mine) CmdLs(c *Cmd, args ...string) error          { c.println("one word"); return nil }

// CmdOdd has another shape and is no command.
func (*mine) CmdOdd(n int) int { return n }

func withMine() *CLI { return New(With(&mine{})) }

func TestDispatch(t *testing.T) {
	s := newStandIn(t)
	for _, c := range []struct {
		line      []string
		code      int
		out, errs string
	}{
		{[]string{"hello", "-l", "you"}, 0, "HELLO YOU\n", ""},
		{[]string{"container", "hello", "you"}, 0, "hello you\n", ""},
		{[]string{"container", "ls", "-a"}, 0, "my ls [-a]\n", ""},
		{[]string{"ls"}, 0, "one word\n", ""},
		{[]string{"odd"}, 1, "", "engine: unknown command: engine odd\n\nRun 'engine --help' for more information\n"},
		{[]string{"Ps"}, 1, "", "engine: unknown command: engine Ps\n\nRun 'engine --help' for more information\n"},
		{[]string{""}, 1, "", "engine: unknown command: engine \n\nRun 'engine --help' for more information\n"},
		{[]string{"container", "nope"}, 1, "", "engine: unknown command: engine container nope\n\nUsage:  engine container\n\nRun 'engine container --help' for more information\n"},
		{[]string{"hello", "-x", "you"}, 125, "", "unknown shorthand flag: 'x' in -x\n\nUsage:  engine hello [OPTIONS] NAME\n\nRun 'engine hello --help' for more information\n"},
		{[]string{"container", "hello"}, 1, "", "engine: 'engine container hello' requires 1 argument\n\nUsage:  engine container hello [OPTIONS] NAME\n\nRun 'engine container hello --help' for more information\n"},
		{[]string{"hello", "--help"}, 0, "Usage:  engine hello [OPTIONS] NAME\n\nGreet someone\n\nAliases:\n  engine container hello, engine hello\n\nOptions:\n  -l, --loud   Shout\n", ""},
		{[]string{"help", "nope"}, 1, "", "unknown help topic: nope\n"},
	} {
		code, out, errs := s.runIn("", withMine(), c.line...)
		assert.Equal(t, code, c.code, "%v", c.line)
		assert.Equal(t, out, c.out, "%v", c.line)
		assert.Equal(t, errs, c.errs, "%v", c.line)
	}
}

func TestHelpListsWhatThereIs(t *testing.T) {
	s := newStandIn(t)
	code, out, _ := s.runIn("", withMine(), "help")
	assert.Equal(t, code, 0)
	assert.Assert(t, strings.Contains(out, "\nCommon Commands:\n  run         Create and run"), out)
	assert.Assert(t, strings.Contains(out, "\nManagement Commands:\n  container   Manage containers\n"), out)
	assert.Assert(t, strings.Contains(out, "\n  hello       Greet someone\n"), out)
	assert.Assert(t, !strings.Contains(out, "dial-stdio"), out)

	_, out, _ = s.runIn("", withMine(), "container", "--help")
	assert.Assert(t, strings.Contains(out, "\n  hello       Greet someone\n"), out)
	assert.Assert(t, strings.Contains(out, "\n  ls          List containers\n"), out)
	assert.Equal(t, len(s.log()), 0)
}

// TestEveryCommandHasHelp: it is made by the command's own method, which must
// not do its work meanwhile.
func TestEveryCommandHasHelp(t *testing.T) {
	s := newStandIn(t)
	all := New().describeAll(t.Context())
	assert.Assert(t, len(all) > 40)
	for _, cmd := range all {
		assert.Assert(t, cmd.short != "" && cmd.usage != "")
		for _, name := range cmd.names() {
			code, out, errs := s.run(append(strings.Fields(name), "--help")...)
			assert.Equal(t, code, 0, name)
			assert.Equal(t, errs, "", name)
			assert.Assert(t, strings.HasPrefix(out, "Usage:  engine "), "%s: %s", name, out)
			_, again, _ := s.run(append([]string{"help"}, strings.Fields(name)...)...)
			assert.Equal(t, again, out, name)
		}
	}
	assert.Equal(t, len(s.log()), 0)
}

func TestGlobalFlags(t *testing.T) {
	s := newStandIn(t)
	for _, c := range []struct {
		line []string
		code int
		errs string
	}{
		{[]string{"--nope", "ps"}, 125, "unknown flag: --nope\n\nUsage:  engine [OPTIONS] COMMAND [ARG...]\n\nRun 'engine --help' for more information\n"},
		{[]string{"-c", "x", "ps"}, 1, "conflicting options: cannot specify both --host and --context\n"},
		{[]string{"-l", "loud", "ps"}, 1, "Unable to parse logging level: loud\n"},
		{[]string{"-H", "tcp://x", "ps"}, 1, "Failed to initialize: unable to resolve docker endpoint: Specify only one -H\n"},
	} {
		code, _, errs := s.run(c.line...)
		assert.Equal(t, code, c.code, "%v", c.line)
		assert.Equal(t, errs, c.errs)
	}
	code, out, _ := s.run("--version")
	assert.Equal(t, code, 0)
	assert.Assert(t, strings.HasPrefix(out, "Engine version "))
}
