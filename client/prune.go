package client

import (
	"bufio"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	units "github.com/docker/go-units"
	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
)

// pruned is what one prune has removed.
type pruned struct {
	title string
	items []string
	bytes uint64
}

func (p pruned) print(c *Cmd) {
	if len(p.items) > 0 {
		fmt.Fprintf(c.Out, "%s\n%s\n\n", p.title, strings.Join(p.items, "\n"))
	}
}

// pruneFlags are those that all prunes have.
type pruneFlags struct {
	force  bool
	filter filters
}

func (p *pruneFlags) declare(c *Cmd, filter string) {
	p.filter = filters{}
	c.Flags().BoolVarP(&p.force, "force", "f", false, "Do not prompt for confirmation")
	c.Flags().Var(p.filter, "filter", filter)
}

// agreed asks the user, unless --force is given. No is no error.
func (p *pruneFlags) agreed(c *Cmd, warning string) bool {
	if p.force {
		return true
	}
	fmt.Fprintf(c.Out, "%s\nAre you sure you want to continue? [y/N] ", warning)
	answer, _ := bufio.NewReader(c.In).ReadString('\n')
	return strings.EqualFold(strings.TrimSpace(answer), "y")
}

func totalReclaimed(c *Cmd, all ...pruned) {
	var total uint64
	for _, p := range all {
		p.print(c)
		total += p.bytes
	}
	c.println("Total reclaimed space:", units.HumanSize(float64(total)))
}

// CmdContainerPrune removes containers that do not run.
func (Containers) CmdContainerPrune(c *Cmd, args ...string) error {
	c.Describe("container prune [OPTIONS]", "Remove all stopped containers")
	var p pruneFlags
	p.declare(c, `Provide filter values (e.g. "until=<timestamp>")`)
	if _, err := c.Parse(args, NoArgs); err != nil {
		return err
	}
	if !p.agreed(c, "WARNING! This will remove all stopped containers.") {
		return nil
	}
	done, err := c.pruneContainers(p.filter)
	if err != nil {
		return err
	}
	totalReclaimed(c, done)
	return nil
}

func (c *Cmd) pruneContainers(f filters) (pruned, error) {
	query := url.Values{}
	f.addTo(query)
	var report container.PruneReport
	err := c.API().Post(c.Context(), "/containers/prune", query, nil, &report)
	return pruned{"Deleted Containers:", report.ContainersDeleted, report.SpaceReclaimed}, err
}

// CmdImagePrune removes images that nobody uses.
func (Images) CmdImagePrune(c *Cmd, args ...string) error {
	c.Describe("image prune [OPTIONS]", "Remove unused images")
	all := c.Flags().BoolP("all", "a", false, "Remove all unused images, not just dangling ones")
	var p pruneFlags
	p.declare(c, `Provide filter values (e.g. "until=<timestamp>")`)
	if _, err := c.Parse(args, NoArgs); err != nil {
		return err
	}
	warning := "WARNING! This will remove all dangling images."
	if *all {
		warning = "WARNING! This will remove all images without at least one container associated to them."
	}
	if !p.agreed(c, warning) {
		return nil
	}
	done, err := c.pruneImages(p.filter, *all)
	if err != nil {
		return err
	}
	totalReclaimed(c, done)
	return nil
}

func (c *Cmd) pruneImages(f filters, all bool) (pruned, error) {
	wanted := filters{"dangling": {strconv.FormatBool(!all): true}}
	for name, values := range f {
		for v := range values {
			wanted.add(name, v)
		}
	}
	query := url.Values{}
	wanted.addTo(query)
	var report image.PruneReport
	err := c.API().Post(c.Context(), "/images/prune", query, nil, &report)
	done := pruned{title: "Deleted Images:", bytes: report.SpaceReclaimed}
	for _, item := range report.ImagesDeleted {
		if item.Untagged != "" {
			done.items = append(done.items, "untagged: "+item.Untagged)
		} else {
			done.items = append(done.items, "deleted: "+item.Deleted)
		}
	}
	return done, err
}

// CmdSystemPrune removes all that nobody uses.
func (System) CmdSystemPrune(c *Cmd, args ...string) error {
	c.Describe("system prune [OPTIONS]", "Remove unused data")
	all := c.Flags().BoolP("all", "a", false, "Remove all unused images not just dangling ones")
	volumes := c.Flags().Bool("volumes", false, "Prune anonymous volumes")
	var p pruneFlags
	p.declare(c, `Provide filter values (e.g. "label=<key>=<value>")`)
	if _, err := c.Parse(args, NoArgs); err != nil {
		return err
	}
	if *volumes && len(p.filter["until"]) > 0 {
		return errors.New(`ERROR: The "until" filter is not supported with "--volumes"`)
	}
	if !p.agreed(c, systemPruneWarning(*all, *volumes, p.filter)) {
		return nil
	}
	var done []pruned
	for _, step := range []func() (pruned, error){
		func() (pruned, error) { return c.pruneContainers(p.filter) },
		func() (pruned, error) { return c.pruneNetworks(p.filter) },
		func() (pruned, error) {
			if !*volumes {
				return pruned{}, nil
			}
			return c.pruneVolumes(p.filter)
		},
		func() (pruned, error) { return c.pruneImages(p.filter, *all) },
		func() (pruned, error) { return c.pruneBuilds(p.filter, *all) },
	} {
		d, err := step()
		if err != nil {
			for _, d := range done {
				d.print(c)
			}
			return err
		}
		done = append(done, d)
	}
	totalReclaimed(c, done...)
	return nil
}

func systemPruneWarning(all, volumes bool, f filters) string {
	lines := []string{"all stopped containers", "all networks not used by at least one container"}
	if volumes {
		lines = append(lines, "all anonymous volumes not used by at least one container")
	}
	if all {
		lines = append(lines, "all images without at least one container associated to them", "all build cache")
	} else {
		lines = append(lines, "all dangling images", "unused build cache")
	}
	text := "WARNING! This will remove:\n  - " + strings.Join(lines, "\n  - ") + "\n"
	var wanted []string
	for name, values := range f {
		for v := range values {
			wanted = append(wanted, name+"="+v)
		}
	}
	if len(wanted) > 0 {
		slices.Sort(wanted)
		text += "\n  Items to be pruned will be filtered with:\n  - " + strings.Join(wanted, "\n  - ") + "\n"
	}
	return text
}

func (c *Cmd) pruneNetworks(f filters) (pruned, error) {
	query := url.Values{}
	f.addTo(query)
	var report network.PruneReport
	err := c.API().Post(c.Context(), "/networks/prune", query, nil, &report)
	return pruned{"Deleted Networks:", report.NetworksDeleted, 0}, err
}

func (c *Cmd) pruneVolumes(f filters) (pruned, error) {
	query := url.Values{}
	f.addTo(query)
	var report volume.PruneReport
	err := c.API().Post(c.Context(), "/volumes/prune", query, nil, &report)
	return pruned{"Deleted Volumes:", report.VolumesDeleted, report.SpaceReclaimed}, err
}

// pruneBuilds leaves the filters by label out: the build cache knows no labels.
func (c *Cmd) pruneBuilds(f filters, all bool) (pruned, error) {
	known := filters{}
	for v := range f["until"] {
		known.add("until", v)
	}
	query := url.Values{}
	known.addTo(query)
	if all {
		query.Set("all", "1")
	}
	var report build.CachePruneReport
	err := c.API().Post(c.Context(), "/build/prune", query, nil, &report)
	return pruned{"Deleted build cache objects:", report.CachesDeleted, report.SpaceReclaimed}, err
}
