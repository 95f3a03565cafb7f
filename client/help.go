package client

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/spf13/pflag"
)

// help is `engine help [COMMAND]`.
func (c *CLI) help(ctx context.Context, words []string) error {
	if len(words) == 0 || words[0] == "--help" || words[0] == "help" {
		return c.topHelp(ctx, c.Out)
	}
	unknown := fmt.Errorf("unknown help topic: %s", strings.Join(words, " "))
	if len(words) == 2 {
		if f := c.method(words...); f != nil {
			return f(c.newCmd(ctx, modeHelp, words...))
		}
		if m := c.member(ctx, words[0], words[1]); m != nil {
			return m.run(c.newCmd(ctx, modeHelp, words...))
		}
		return unknown
	}
	if f := c.method(words[0]); f != nil && len(words) == 1 {
		return f(c.newCmd(ctx, modeHelp, words[0]))
	}
	return unknown
}

// topHelp lists all commands and the global flags.
func (c *CLI) topHelp(ctx context.Context, w io.Writer) error {
	lists := map[category][]*Cmd{}
	for _, cmd := range c.describeAll(ctx) {
		if !cmd.hidden && !strings.Contains(cmd.name(), " ") {
			lists[cmd.category] = append(lists[cmd.category], cmd)
		}
	}
	sort.SliceStable(lists[common], func(i, j int) bool { return lists[common][i].order < lists[common][j].order })
	fmt.Fprint(w, "Usage:  engine [OPTIONS] COMMAND\n\nA small engine for containers, run by named jobs\n")
	for _, l := range []struct {
		title string
		of    category
	}{{"Common Commands", common}, {"Management Commands", management}, {"Commands", other}} {
		if len(lists[l.of]) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s:\n", l.title)
		for _, cmd := range lists[l.of] {
			fmt.Fprintf(w, "  %-11s %s\n", cmd.name(), cmd.short)
		}
	}
	flags := pflag.NewFlagSet("engine", pflag.ContinueOnError)
	(&globals{}).declare(flags)
	flags.MarkHidden("help")
	flags.BoolP("daemon", "d", false, "Run the engine's daemon (see 'engine -d --help')") // main's, not ours
	fmt.Fprintf(w, "\nGlobal Options:\n%s\n\nRun 'engine COMMAND --help' for more information on a command.\n", c.flagUsages(flags))
	return nil
}

// printHelp explains one command.
func (c *Cmd) printHelp() {
	if c.category == management {
		c.groupHelp(c.Out)
		return
	}
	fmt.Fprintf(c.Out, "Usage:  %s\n\n%s\n", c.useLine(), c.short)
	if len(c.aliases) > 0 {
		names := append([]string{}, c.aliases...)
		if strings.Contains(c.name(), " ") {
			names = c.names()
		} else {
			names = append(names, c.name())
		}
		for i := range names {
			names[i] = "engine " + names[i]
		}
		fmt.Fprintf(c.Out, "\nAliases:\n  %s\n", strings.Join(names, ", "))
	}
	if c.flags.HasAvailableFlags() {
		fmt.Fprintf(c.Out, "\nOptions:\n%s\n", c.flagUsages(c.flags))
	}
}

// groupHelp lists the members of a group.
func (c *Cmd) groupHelp(w io.Writer) {
	group := c.name()
	fmt.Fprintf(w, "Usage:  engine %s COMMAND\n\n%s\n\nCommands:\n", group, c.short)
	var lines []string
	for _, cmd := range c.describeAll(c.ctx) {
		if cmd.hidden {
			continue
		}
		for _, name := range cmd.names() {
			if verb, ok := strings.CutPrefix(name, group+" "); ok {
				lines = append(lines, fmt.Sprintf("  %-11s %s\n", verb, cmd.short))
				break // the first name of the group stands for the others
			}
		}
	}
	sort.Strings(lines)
	fmt.Fprintf(w, "%s\nRun 'engine %s COMMAND --help' for more information on a command.\n", strings.Join(lines, ""), group)
}

func (c *CLI) flagUsages(f *pflag.FlagSet) string {
	width := 80
	if w := terminalWidth(c.In); w > 0 {
		width = w
	}
	return strings.TrimRight(f.FlagUsagesWrapped(width-1), " \n")
}
