package client

import (
	"errors"
	"io"

	"github.com/jobengine/engine/client/config"
	"github.com/jobengine/engine/internal/reference"
)

// CmdPull gets an image from a registry and prints its full name.
func (Images) CmdPull(c *Cmd, args ...string) error {
	c.Describe("pull [OPTIONS] NAME[:TAG|@DIGEST]", "Download an image from a registry", "image pull").Common(5)
	all := c.Flags().BoolP("all-tags", "a", false, "Download all tagged images in the repository")
	quiet := c.Flags().BoolP("quiet", "q", false, "Suppress verbose output")
	platform := c.Flags().String("platform", config.Env("DEFAULT_PLATFORM"), "Set platform if server is multi-platform capable")
	noTrust(c)
	args, err := c.Parse(args, Exactly(1))
	if err != nil {
		return err
	}
	named, err := c.remoteName(args[0], *all, *quiet)
	if err != nil {
		return err
	}
	out := c.Out
	if *quiet {
		out = io.Discard
	}
	if err := c.pull(c.Context(), named, *platform, out); err != nil {
		return err
	}
	c.println(named)
	return nil
}

// remoteName reads the name of what is pulled or pushed: with a tag, unless all are meant.
func (c *Cmd) remoteName(text string, all, quiet bool) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(text)
	switch {
	case err != nil:
		return nil, err
	case all && !reference.IsNameOnly(named):
		return nil, errors.New("tag can't be used with --all-tags/-a")
	case !all && reference.IsNameOnly(named):
		named = reference.TagNameOnly(named)
		if t, ok := named.(reference.Tagged); ok && !quiet {
			c.println("Using default tag:", t.Tag())
		}
	}
	return named, nil
}
