package client

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"sort"
	"strings"

	"github.com/jobengine/engine/client/api"
)

// commandFunc is the shape of a command method.
type commandFunc = func(c *Cmd, args ...string) error

// dispatch finds a command by its first two words, then by its first, and runs it.
func (c *CLI) dispatch(ctx context.Context, args []string) error {
	if args[0] == "help" {
		return c.help(ctx, args[1:])
	}
	if len(args) > 1 {
		if f := c.method(args[0], args[1]); f != nil {
			return f(c.newCmd(ctx, modeRun, args[0], args[1]), args[2:]...)
		}
	}
	if f := c.method(args[0]); f != nil {
		return f(c.newCmd(ctx, modeRun, args[0]), args[1:]...)
	}
	return fmt.Errorf("engine: unknown command: engine %s\n\nRun 'engine --help' for more information", args[0])
}

// method looks a command up by name: the words "container", "ls" name the
// method CmdContainerLs, "dial-stdio" is DialStdio. Only plain words name one.
func (c *CLI) method(words ...string) commandFunc {
	name := "Cmd"
	for _, w := range words {
		part := methodPart(w)
		if part == "" {
			return nil
		}
		name += part
	}
	for i := len(c.receivers) - 1; i >= 0; i-- {
		if m := reflect.ValueOf(c.receivers[i]).MethodByName(name); m.IsValid() {
			if f, ok := m.Interface().(commandFunc); ok {
				return f
			}
		}
	}
	return nil
}

func methodPart(word string) string {
	name := ""
	for _, piece := range strings.Split(word, "-") {
		if piece == "" || strings.Trim(piece, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return ""
		}
		name += strings.ToUpper(piece[:1]) + piece[1:]
	}
	return name
}

// describeAll runs every command as far as its description, sorted by name.
func (c *CLI) describeAll(ctx context.Context) []*Cmd {
	// Whatever a method does before Parse, or without one, reaches nobody.
	mute := *c
	mute.In, mute.Out, mute.Err = strings.NewReader(""), io.Discard, io.Discard
	mute.connected = func() (*api.Client, error) { return api.Broken(errDescribed), nil }
	byName := map[string]*Cmd{}
	for _, r := range c.receivers {
		v := reflect.ValueOf(r)
		for i := range v.NumMethod() {
			name, ok := strings.CutPrefix(v.Type().Method(i).Name, "Cmd")
			f, isCommand := v.Method(i).Interface().(commandFunc)
			if !ok || !isCommand {
				continue
			}
			cmd := mute.newCmd(ctx, modeDescribe)
			cmd.run = f
			f(cmd)
			if cmd.usage != "" {
				byName[name] = cmd
			}
		}
	}
	all := make([]*Cmd, 0, len(byName))
	for _, cmd := range byName {
		all = append(all, cmd)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].usage < all[j].usage })
	return all
}

// member finds a command of a group by its second word, among the names that
// commands list: `container run` is the command run.
func (c *CLI) member(ctx context.Context, group, word string) *Cmd {
	for _, cmd := range c.describeAll(ctx) {
		for _, name := range cmd.names() {
			if name == group+" "+word {
				return cmd
			}
		}
	}
	return nil
}
