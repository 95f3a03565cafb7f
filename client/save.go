package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
)

// CmdSave writes images as an archive.
func (Images) CmdSave(c *Cmd, args ...string) error {
	c.Describe("save [OPTIONS] IMAGE [IMAGE...]", "Save one or more images to a tar archive (streamed to STDOUT by default)", "image save")
	f := c.Flags()
	output := f.StringP("output", "o", "", "Write to a file, instead of STDOUT")
	platform := f.StringSlice("platform", nil, `Save only the given platform(s). Formatted as a comma-separated list of "os[/arch[/variant]]" (e.g., "linux/amd64,linux/arm64/v8")`)
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	query := url.Values{"names": args}
	if err := addPlatform(query, *platform...); err != nil {
		return err
	}
	return c.fetchArchive("save image", "/images/get", query, *output)
}

// fetchArchive writes the daemon's answer to a file, "" for standard output. A
// file is there when all of it is.
func (c *Cmd) fetchArchive(what, path string, query url.Values, output string) error {
	if output == "" {
		if _, ok := terminal(c.Out); ok {
			return errors.New("cowardly refusing to save to a terminal. Use the -o flag or redirect")
		}
	} else if err := checkOutput(output); err != nil {
		return fmt.Errorf("failed to %s: %w", what, err)
	}
	resp, err := c.API().Do(c.Context(), http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if output == "" {
		_, err = io.CopyBuffer(struct{ io.Writer }{c.Out}, struct{ io.Reader }{resp.Body}, make([]byte, copySize))
		return err
	}
	return writeWhole(c.Context(), output, resp.Body)
}

const copySize = 256 << 10

// checkOutput refuses, in docker's words, what cannot become a file.
func checkOutput(path string) error {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return fmt.Errorf("invalid output path: %w", err)
	}
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("invalid output path: %w", err)
	case st.IsDir():
		return errors.New("cannot write to a directory")
	case st.Mode()&os.ModeCharDevice != 0:
		return errors.New("cannot write to a character device file")
	case st.Mode()&os.ModeDevice != 0:
		return errors.New("cannot write to a block device file")
	case st.Mode()&os.ModeNamedPipe != 0:
		return errors.New("cannot write to a named pipe file")
	case st.Mode()&os.ModeSocket != 0:
		return errors.New("cannot write to a socket file")
	}
	return nil
}

// writeWhole puts what r has in the place of path, or leaves what was there.
func writeWhole(ctx context.Context, path string, r io.Reader) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".tmp-"+filepath.Base(path))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			temp.Close()
			os.Remove(temp.Name())
		}
	}()
	if _, err := io.CopyBuffer(struct{ io.Writer }{temp}, struct{ io.Reader }{r}, make([]byte, copySize)); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
