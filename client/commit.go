package client

import (
	"net/url"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/client/runconfig"
	"github.com/jobengine/engine/internal/reference"
)

// CmdCommit makes an image of what a container has changed.
func (Containers) CmdCommit(c *Cmd, args ...string) error {
	c.Describe("commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]", "Create a new image from a container's changes", "container commit")
	f := c.Flags()
	author := f.StringP("author", "a", "", `Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")`)
	message := f.StringP("message", "m", "", "Commit message")
	var changes []string
	f.VarP(runconfig.List(&changes), "change", "c", "Apply Dockerfile instruction to the created image")
	pause := f.BoolP("pause", "p", true, "Pause container during commit")
	noPause := f.Bool("no-pause", false, "Disable pausing container during commit")
	args, err := c.Parse(args, Between(1, 2))
	if err != nil {
		return err
	}
	query := url.Values{"container": {args[0]}, "author": {*author}, "comment": {*message}, "pause": {"1"}}
	if !*pause || *noPause {
		query.Set("pause", "0")
	}
	for _, line := range changes {
		query.Add("changes", line)
	}
	if len(args) > 1 {
		ref, err := reference.ParseNormalizedNamed(args[1])
		if err != nil {
			return err
		}
		query.Set("repo", reference.FamiliarName(ref))
		if tagged, ok := reference.TagNameOnly(ref).(reference.NamedTagged); ok {
			query.Set("tag", tagged.Tag())
		}
	}
	var made container.CommitResponse
	if err := c.API().Post(c.Context(), "/commit", query, nil, &made); err != nil {
		return err
	}
	c.println(made.ID)
	return nil
}
