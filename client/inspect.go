package client

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/jobengine/engine/client/table"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
)

// finder gets one object by name: as its type, and as the daemon's bytes.
type finder func(name string) (typed any, raw []byte, err error)

func find[T any](c *Cmd, before string, after string, query url.Values) finder {
	return func(name string) (any, []byte, error) {
		found := new(T)
		raw, err := c.API().Raw(c.Context(), before+name+after, query, found)
		return found, raw, err
	}
}

func (c *Cmd) findContainer(size bool) finder {
	query := url.Values{}
	if size {
		query.Set("size", "1")
	}
	return find[container.InspectResponse](c, "/containers/", "/json", query)
}

func (c *Cmd) findImage(query url.Values) finder {
	return find[image.InspectResponse](c, "/images/", "/json", query)
}

func (c *Cmd) findNetwork() finder { return find[network.Inspect](c, "/networks/", "", nil) }
func (c *Cmd) findVolume() finder  { return find[volume.Volume](c, "/volumes/", "", nil) }

// inspect prints all that it finds, then returns what it did not.
func (c *Cmd) inspect(names []string, format string, get finder) error {
	objects, err := table.NewObjects(format)
	if err != nil {
		return &StatusError{Code: 64, Text: err.Error()}
	}
	var errs []error
	for _, name := range names {
		typed, raw, err := get(name)
		if err == nil {
			err = objects.Add(typed, raw)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if err := objects.Flush(c.Out); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// CmdInspect prints everything about objects of any kind.
func (Containers) CmdInspect(c *Cmd, args ...string) error {
	c.Describe("inspect [OPTIONS] NAME|ID [NAME|ID...]", "Return low-level information on engine objects")
	format := objectFormat(c.Flags(), "f")
	kind := c.Flags().String("type", "", "Only inspect objects of the given type")
	size := c.Flags().BoolP("size", "s", false, "Display total file sizes if the type is container")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	type kindOf struct {
		name string
		get  finder
	}
	kinds := []kindOf{
		{"container", c.findContainer(*size)},
		{"image", c.findImage(nil)},
		{"network", c.findNetwork()},
		{"volume", c.findVolume()},
		{"plugin", find[map[string]any](c, "/plugins/", "/json", nil)},
	}
	// A daemon that is no swarm's refuses these; they are only asked for by name.
	names := []string{"config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume"}
	switch *kind {
	case "config", "node", "secret", "service", "task":
		kinds = append(kinds, kindOf{*kind, find[map[string]any](c, "/"+*kind+"s/", "", nil)})
	}
	known := slices.Contains(names, *kind)
	switch {
	case *kind == "" && c.Flags().Changed("type"):
		return fmt.Errorf(`type is empty: must be one of "%s"`, strings.Join(names, `", "`))
	case *kind != "" && !known:
		return fmt.Errorf(`unknown type: %q: must be one of "%s"`, *kind, strings.Join(names, `", "`))
	}
	return c.inspect(args, *format, func(name string) (any, []byte, error) {
		for _, k := range kinds {
			if *kind != "" && k.name != *kind {
				continue
			}
			typed, raw, err := k.get(name)
			if *kind == "" && (errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err) || errdefs.IsNotImplemented(err)) {
				continue // it is none of these: try the next
			}
			if err == nil && *size && k.name != "container" {
				fmt.Fprintln(c.Err, "WARNING: --size ignored for", k.name)
			}
			return typed, raw, err
		}
		return nil, nil, fmt.Errorf("Error: No such object: %s", name)
	})
}

// CmdContainerInspect prints everything about containers.
func (Containers) CmdContainerInspect(c *Cmd, args ...string) error {
	c.Describe("container inspect [OPTIONS] CONTAINER [CONTAINER...]", "Display detailed information on one or more containers")
	format := objectFormat(c.Flags(), "f")
	size := c.Flags().BoolP("size", "s", false, "Display total file sizes")
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	return c.inspect(args, *format, c.findContainer(*size))
}

// CmdImageInspect prints everything about images.
func (Images) CmdImageInspect(c *Cmd, args ...string) error {
	c.Describe("image inspect [OPTIONS] IMAGE [IMAGE...]", "Display detailed information on one or more images")
	format := objectFormat(c.Flags(), "f")
	platform := c.Flags().String("platform", "", `Inspect a specific platform of the multi-platform image.
If the image or the server is not multi-platform capable, the command will error out if the platform does not match.
'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)`)
	args, err := c.Parse(args, AtLeast(1))
	if err != nil {
		return err
	}
	query := url.Values{}
	if err := addPlatform(query, *platform); err != nil {
		return err
	}
	return c.inspect(args, *format, c.findImage(query))
}
