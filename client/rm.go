package client

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/containerd/errdefs"
)

// CmdRm removes containers.
func (Containers) CmdRm(c *Cmd, args ...string) error {
	c.Describe("rm [OPTIONS] CONTAINER [CONTAINER...]", "Remove one or more containers", "container rm", "container remove")
	volumes := c.Flags().BoolP("volumes", "v", false, "Remove anonymous volumes associated with the container")
	link := c.Flags().BoolP("link", "l", false, "Remove the specified link")
	force := c.Flags().BoolP("force", "f", false, "Force the removal of a running container (uses SIGKILL)")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	query := url.Values{}
	for name, set := range map[string]bool{"v": *volumes, "link": *link, "force": *force} {
		if set {
			query.Set(name, "1")
		}
	}
	err = c.each(args, func(name string) error {
		name = strings.Trim(name, "/")
		if name == "" {
			return errors.New("container name cannot be empty")
		}
		return c.API().Delete(c.Context(), "/containers/"+name, query, nil)
	})
	if !*force {
		return err
	}
	return c.forgiveMissing(err)
}

// forgiveMissing prints the errors that say an object is not there: with
// --force that is no failure. It returns the others.
func (c *Cmd) forgiveMissing(err error) error {
	var rest []error
	for _, e := range split(err) {
		if errdefs.IsNotFound(e) {
			fmt.Fprintln(c.Err, e)
			continue
		}
		rest = append(rest, e)
	}
	return errors.Join(rest...)
}

// split takes errors.Join apart.
func split(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}
