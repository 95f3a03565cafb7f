package client

import (
	"io"
	"net/http"
	"net/url"
	"strings"
)

// CmdJob runs any job of the engine by name: the dynamic door.
func (Jobs) CmdJob(c *Cmd, args ...string) error {
	c.Describe("job [OPTIONS] NAME [ARG...] [KEY=VALUE...]", "Run a job of the engine by its name")
	c.Flags().SetInterspersed(false)
	stdin := c.Flags().BoolP("interactive", "i", false, "Send standard input to the job")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	query := url.Values{}
	for _, word := range args[1:] {
		if isAssignment(word) {
			query.Add("env", word)
		} else {
			query.Add("arg", word)
		}
	}
	var body any
	if *stdin {
		body = c.In
	}
	resp, err := c.API().Do(c.Context(), http.MethodPost, "/jobs/"+args[0], query, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(c.Out, resp.Body); err != nil {
		return err
	}
	// Output had begun when it failed, so the status could not say so.
	if failed := resp.Trailer.Get("Engine-Job-Error"); failed != "" {
		return &StatusError{Code: 1, Text: failed}
	}
	return nil
}

// isAssignment tells KEY=VALUE, where a key is an input's field, from an
// argument that has an "=" somewhere.
func isAssignment(word string) bool {
	key, _, ok := strings.Cut(word, "=")
	if !ok || key == "" {
		return false
	}
	for i, c := range key {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}
