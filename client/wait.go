package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/moby/moby/api/types/container"
)

// CmdWait waits until containers end and prints their exit codes.
func (Containers) CmdWait(c *Cmd, args ...string) error {
	c.Describe("wait CONTAINER [CONTAINER...]", "Block until one or more containers stop, then print their exit codes", "container wait")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range args {
		wait, err := c.openWait(c.Context(), name, "")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		result := <-wait
		if result.err != nil {
			errs = append(errs, result.err)
			continue
		}
		c.println(result.code)
	}
	return errors.Join(errs...)
}

type waitResult struct {
	code int
	err  error
}

// openWait asks for the container's end and returns once the daemon has taken
// the question: what ends after that is not missed. condition is the API's.
func (c *Cmd) openWait(ctx context.Context, id string, condition container.WaitCondition) (<-chan waitResult, error) {
	query := url.Values{}
	if condition != "" {
		query.Set("condition", string(condition))
	}
	resp, err := c.API().Do(ctx, http.MethodPost, "/containers/"+id+"/wait", query, nil)
	if err != nil {
		return nil, err
	}
	result := make(chan waitResult, 1)
	go func() {
		defer resp.Body.Close()
		var w container.WaitResponse
		if err := json.NewDecoder(resp.Body).Decode(&w); err != nil {
			result <- waitResult{err: err}
			return
		}
		if w.Error != nil && w.Error.Message != "" {
			result <- waitResult{code: int(w.StatusCode), err: errors.New(w.Error.Message)}
			return
		}
		result <- waitResult{code: int(w.StatusCode)}
	}()
	return result, nil
}

// exitCode takes the result as run does: a wait that failed is 125.
func (c *Cmd) exitCode(r waitResult) int {
	if r.err != nil {
		fmt.Fprintln(c.Err, "Error waiting for container:", r.err)
		return 125
	}
	return r.code
}
