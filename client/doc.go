// Package client is the command line: `engine run …` and all the other
// commands, with docker's names, flags, output and exit codes.
//
// A command is a method CmdSomething of a receiver, one receiver a noun
// (Containers, Images, System …), one file a command:
//
//	// CmdRename gives a container another name.
//	func (Containers) CmdRename(c *Cmd, args ...string) error {
//		c.Describe("rename CONTAINER NEW_NAME", "Rename a container", "container rename")
//		args, err := c.Parse(args, Exactly(2))
//		if err != nil {
//			return err
//		}
//		return c.API().Post(c.Context(), "/containers/"+args[0]+"/rename", …)
//	}
//
// `engine rename a b` is found as CmdRename by reflection, `engine container
// ls` as CmdContainerLs if there is one, and else through the names that
// Describe lists. Help is made by running the methods up to Parse, so a
// command does nothing before it.
//
// A program of someone else adds commands with its own receiver:
//
//	os.Exit(client.Main(os.Args[1:], client.With(&MyCommands{})))
package client
