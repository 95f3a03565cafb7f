package client

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/jobengine/engine/internal/reference"
)

// CmdTag gives an image another name.
func (Images) CmdTag(c *Cmd, args ...string) error {
	c.Describe("tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", "image tag")
	c.Flags().SetInterspersed(false)
	args, err := c.Parse(args, Exactly(2))
	if err != nil {
		return err
	}
	if _, err := reference.ParseAnyReference(args[0]); err != nil {
		return fmt.Errorf("Error parsing reference: %q is not a valid repository/tag: %w", args[0], err)
	}
	target, err := reference.ParseNormalizedNamed(args[1])
	if err != nil {
		return fmt.Errorf("Error parsing reference: %q is not a valid repository/tag: %w", args[1], err)
	}
	if _, ok := target.(reference.Digested); ok {
		return errors.New("refusing to create a tag with a digest reference")
	}
	query := url.Values{"repo": {target.Name()}}
	if tagged, ok := reference.TagNameOnly(target).(reference.Tagged); ok {
		query.Set("tag", tagged.Tag())
	}
	return c.API().Post(c.Context(), "/images/"+args[0]+"/tag", query, nil, nil)
}
