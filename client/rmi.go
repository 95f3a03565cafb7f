package client

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/image"
)

// CmdRmi removes images, or names of images.
func (Images) CmdRmi(c *Cmd, args ...string) error {
	c.Describe("rmi [OPTIONS] IMAGE [IMAGE...]", "Remove one or more images", "image rm", "image remove", "image rmi")
	force := c.Flags().BoolP("force", "f", false, "Force removal of the image")
	noPrune := c.Flags().Bool("no-prune", false, "Do not delete untagged parents")
	wanted := c.Flags().StringSlice("platform", nil, `Remove only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")`)
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	query := url.Values{}
	if *force {
		query.Set("force", "1")
	}
	if *noPrune {
		query.Set("noprune", "1")
	}
	platform := url.Values{}
	if err := addPlatform(platform, *wanted...); err != nil {
		return err
	}
	if of := platform["platform"]; len(of) > 0 {
		query["platforms"] = of
	}
	var errs []error
	fatal := false
	for _, name := range args {
		var gone []image.DeleteResponse
		if err := c.API().Delete(c.Context(), "/images/"+name, query, &gone); err != nil {
			fatal = fatal || !errdefs.IsNotFound(err)
			errs = append(errs, err)
			continue
		}
		for _, g := range gone {
			if g.Deleted != "" {
				c.println("Deleted:", g.Deleted)
			} else {
				c.println("Untagged:", g.Untagged)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		if !*force || fatal {
			return err
		}
		fmt.Fprintln(c.Err, err)
	}
	return nil
}
