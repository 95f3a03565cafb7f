package client

import (
	"errors"
	"fmt"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/client/runconfig"
)

// CmdUpdate changes limits and the restart policy of containers.
func (Containers) CmdUpdate(c *Cmd, args ...string) error {
	c.Describe("update [OPTIONS] CONTAINER [CONTAINER...]", "Update configuration of one or more containers", "container update")
	flags := runconfig.AddUpdate(c.Flags())
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	config, nothing, err := flags.Finish()
	if err != nil {
		return err
	}
	if nothing {
		return errors.New("you must provide one or more flags when using this command")
	}
	var warnings, failures []string
	for _, name := range args {
		var out container.UpdateResponse
		if err := c.API().Post(c.Context(), "/containers/"+name+"/update", nil, config, &out); err != nil {
			failures = append(failures, err.Error())
			continue
		}
		fmt.Fprintln(c.Out, name)
		warnings = append(warnings, out.Warnings...)
	}
	if len(warnings) > 0 {
		fmt.Fprintln(c.Out, strings.Join(warnings, "\n"))
	}
	if len(failures) > 0 {
		return errors.New(strings.Join(failures, "\n"))
	}
	return nil
}
