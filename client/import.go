package client

import (
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/jobengine/engine/client/config"
	"github.com/jobengine/engine/client/runconfig"
	"github.com/jobengine/engine/internal/reference"
)

// CmdImport makes an image of one layer from a file system's archive.
func (Images) CmdImport(c *Cmd, args ...string) error {
	c.Describe("import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]", "Import the contents from a tarball to create a filesystem image", "image import")
	f := c.Flags()
	var changes []string
	f.VarP(runconfig.List(&changes), "change", "c", "Apply Dockerfile instruction to the created image")
	message := f.StringP("message", "m", "", "Set commit message for imported image")
	platform := f.String("platform", config.Env("DEFAULT_PLATFORM"), "Set platform if server is multi-platform capable")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	query := url.Values{"fromSrc": {"-"}}
	if len(args) > 1 {
		if _, err := reference.ParseNormalizedNamed(args[1]); err != nil {
			return err
		}
		query.Set("repo", args[1])
	}
	if *message != "" {
		query.Set("message", *message)
	}
	for _, change := range changes {
		query.Add("changes", change)
	}
	if *platform != "" {
		query.Set("platform", strings.ToLower(*platform))
	}
	var in io.Reader
	switch source := args[0]; {
	case source == "-":
		in = c.In
	case strings.HasPrefix(source, "http://"), strings.HasPrefix(source, "https://"):
		query.Set("fromSrc", source) // the daemon's to fetch
	default:
		file, err := os.Open(source)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	return c.sendArchive("/images/create", query, in)
}
