package client

import (
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/jobengine/engine/client/config"
	"github.com/jobengine/engine/client/progress"
	"github.com/jobengine/engine/internal/reference"
)

// CmdPush uploads an image to a registry.
func (Images) CmdPush(c *Cmd, args ...string) error {
	c.Describe("push [OPTIONS] NAME[:TAG]", "Upload an image to a registry", "image push").Common(6)
	all := c.Flags().BoolP("all-tags", "a", false, "Push all tags of an image to the repository")
	quiet := c.Flags().BoolP("quiet", "q", false, "Suppress verbose output")
	platform := c.Flags().String("platform", config.Env("DEFAULT_PLATFORM"), "Push a platform-specific manifest as a single-platform image")
	noTrust(c)
	args, err := c.Parse(args, Exactly(1))
	if err != nil {
		return err
	}
	named, err := c.remoteName(args[0], *all, *quiet)
	if err != nil {
		return err
	}
	if _, ok := named.(reference.Digested); ok {
		return errors.New("cannot push a digest reference")
	}
	query := url.Values{}
	if t, ok := named.(reference.Tagged); ok {
		query.Set("tag", t.Tag())
	}
	if err := addPlatform(query, *platform); err != nil {
		return err
	}
	resp, err := c.API().Do(c.Context(), http.MethodPost, "/images/"+repositoryPath(named)+"/push", query, nil, c.authHeader(named)...)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	out := c.Out
	if *quiet {
		out = io.Discard
	}
	if err := progress.Show(resp.Body, out, terminalWidth(out)); err != nil {
		return err
	}
	if *quiet {
		c.println(named)
	}
	return nil
}

// repositoryPath is a repository as the API's paths have it.
func repositoryPath(named reference.Named) string { return reference.FamiliarName(named) }

// noTrust takes docker's flag for a signing scheme that is no more.
func noTrust(c *Cmd) {
	c.Flags().Bool("disable-content-trust", true, "Skip image verification (deprecated)")
	_ = c.Flags().MarkHidden("disable-content-trust")
}
