package client

// CmdExport writes a container's file system as a tar.
func (Containers) CmdExport(c *Cmd, args ...string) error {
	c.Describe("export [OPTIONS] CONTAINER", "Export a container's filesystem as a tar archive", "container export")
	output := c.Flags().StringP("output", "o", "", "Write to a file, instead of STDOUT")
	args, err := c.Parse(args, Exactly(1))
	if err != nil {
		return err
	}
	return c.fetchArchive("export container", "/containers/"+args[0]+"/export", nil, *output)
}
