package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/jobengine/engine/client/config"
	"github.com/jobengine/engine/client/progress"
	"github.com/jobengine/engine/client/runconfig"
	"github.com/jobengine/engine/internal/reference"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
)

// createFlags are the flags of create and run that are not the container's.
type createFlags struct {
	name, platform, pull string
	quiet, useAPISocket  bool
}

func (f *createFlags) declare(c *Cmd, verb string) *runconfig.Options {
	flags := c.Flags()
	flags.SetInterspersed(false)
	flags.StringVar(&f.name, "name", "", "Assign a name to the container")
	flags.StringVar(&f.platform, "platform", config.Env("DEFAULT_PLATFORM"), "Set platform if server is multi-platform capable")
	flags.StringVar(&f.pull, "pull", "missing", `Pull image before `+verb+` ("always", "missing", "never")`)
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "Suppress the pull output")
	flags.BoolVar(&f.useAPISocket, "use-api-socket", false, "Bind mount Engine API socket and required auth")
	flags.Bool("help", false, "Print usage")
	return runconfig.Add(flags)
}

// finish completes the options; what is wrong ends with 125 and a hint at the help.
func (f *createFlags) finish(c *Cmd, o *runconfig.Options, args []string) error {
	switch f.pull {
	case "always", "missing", "never", "":
	default:
		return withHint(fmt.Errorf("invalid pull option: '%s': must be one of %q, %q or %q", f.pull, "always", "missing", "never"), c.name(), 125)
	}
	api, err := c.Connect()
	if err != nil {
		return err
	}
	o.Env = c.Config().AddProxies(api.Host(), o.Env)
	if f.useAPISocket {
		const inside = "/var/run/docker.sock"
		source := inside
		if path, ok := strings.CutPrefix(api.Host(), "unix://"); ok {
			source = path
		}
		o.AddMount(mount.Mount{Type: mount.TypeBind, Source: source, Target: inside, BindOptions: &mount.BindOptions{}})
	}
	if err := o.Supported(); err != nil {
		return err
	}
	if err := o.Finish(args[0], args[1:]); err != nil {
		return withHint(err, c.name(), 125)
	}
	return nil
}

// withHint is how run and create end on an error.
func withHint(err error, command string, code int) error {
	return &StatusError{Code: code, Text: fmt.Sprintf("engine: %s\n\nRun 'engine %s --help' for more information", err, command)}
}

// CmdCreate makes a container and does not start it.
func (Containers) CmdCreate(c *Cmd, args ...string) error {
	c.Describe("create [OPTIONS] IMAGE [COMMAND] [ARG...]", "Create a new container", "container create")
	var f createFlags
	options := f.declare(c, "creating")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	if err := f.finish(c, options, args); err != nil {
		return err
	}
	id, err := c.create(c.Context(), options, f)
	if err != nil {
		return err
	}
	c.println(id)
	return nil
}

// create makes the container, pulling its image where it is missing, and
// returns the id. Warnings go to standard error.
func (c *Cmd) create(ctx context.Context, o *runconfig.Options, f createFlags) (id string, err error) {
	cid, err := newCIDFile(o.Host.ContainerIDFile)
	if err != nil {
		return "", err
	}
	defer cid.close()

	ref, err := reference.ParseAnyReference(o.Config.Image)
	if err != nil {
		return "", err
	}
	image := ""
	if named, ok := ref.(reference.Named); ok { // an id cannot be pulled
		image = reference.FamiliarString(reference.TagNameOnly(named))
	}
	if f.pull == "always" {
		if err := c.pullFor(ctx, o.Config.Image, f); err != nil {
			return "", err
		}
	}
	o.Host.ConsoleSize[0], o.Host.ConsoleSize[1] = windowSize(c.Out)
	query := url.Values{}
	if f.name != "" {
		query.Set("name", f.name)
	}
	if f.platform != "" {
		query.Set("platform", f.platform)
	}
	request := container.CreateRequest{Config: &o.Config, HostConfig: &o.Host, NetworkingConfig: &o.Networking}
	var made container.CreateResponse
	err = c.API().Post(ctx, "/containers/create", query, request, &made)
	if errdefs.IsNotFound(err) && image != "" && f.pull == "missing" {
		if !f.quiet {
			fmt.Fprintf(c.Err, "Unable to find image '%s' locally\n", image)
		}
		if err := c.pullFor(ctx, o.Config.Image, f); err != nil {
			return "", err
		}
		err = c.API().Post(ctx, "/containers/create", query, request, &made)
	}
	if err != nil {
		return "", err
	}
	for _, w := range made.Warnings {
		fmt.Fprintln(c.Err, "WARNING:", w)
	}
	return made.ID, cid.write(made.ID)
}

// pullFor gets the image of a container to be; standard output stays the container's.
func (c *Cmd) pullFor(ctx context.Context, image string, f createFlags) error {
	out := c.Err
	if f.quiet {
		out = io.Discard
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return err
	}
	return c.pull(ctx, reference.TagNameOnly(named), f.platform, out)
}

// pull asks the daemon for an image and shows how it goes.
// One without tag and digest is all of its tags.
func (c *Cmd) pull(ctx context.Context, named reference.Named, platform string, out io.Writer) error {
	query := url.Values{"fromImage": {named.Name()}}
	switch r := named.(type) {
	case reference.Digested:
		query.Set("tag", r.Digest().String())
	case reference.Tagged:
		query.Set("tag", r.Tag())
	}
	if platform != "" {
		query.Set("platform", platform)
	}
	resp, err := c.API().Do(ctx, http.MethodPost, "/images/create", query, nil, c.authHeader(named)...)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return progress.Show(resp.Body, out, terminalWidth(out))
}

// cidFile takes a container's id. It is made before the container, so that a
// path that cannot be written costs none, and removed when there is no id.
type cidFile struct {
	*os.File
	written bool
}

func newCIDFile(path string) (*cidFile, error) {
	if path == "" {
		return &cidFile{}, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		return nil, errors.New("container ID file found, make sure the other container isn't running or delete " + path)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to create the container ID file: %w", err)
	}
	return &cidFile{File: f}, nil
}

func (f *cidFile) write(id string) error {
	if f.File == nil {
		return nil
	}
	if _, err := f.WriteString(id); err != nil {
		return fmt.Errorf("failed to write the container ID to the file: %w", err)
	}
	f.written = true
	return nil
}

func (f *cidFile) close() {
	if f.File == nil {
		return
	}
	f.File.Close()
	if !f.written {
		os.Remove(f.Name())
	}
}
