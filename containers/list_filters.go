package containers

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/filters"
	"github.com/jobengine/engine/jobs"
)

// selection is what of all containers a list shows.
type selection struct {
	c       *Containers
	args    filters.Args
	stopped bool // show those that do not run too
	none    bool // show nothing, whatever there is
	from    int  // index of the first one, in the list from newest to oldest
	to      int  // index behind the last one

	names   []*regexp.Regexp
	exits   []int
	images  func(imageID string) bool // nil is all
	publish []network.Port
	expose  []network.Port
}

func (c *Containers) newSelection(in jobs.ContainersIn, snaps []*Snapshot, images *imageNames) (*selection, error) {
	args := in.Filters
	if err := args.Check("ancestor", "annotation", "before", "exited", "expose", "health", "id", "isolation",
		"is-task", "label", "name", "network", "publish", "since", "status", "volume"); err != nil {
		return nil, err
	}
	p := &selection{c: c, args: args, stopped: in.All || in.Limit > 0 || args.Has("status"), to: len(snaps)}
	for _, step := range []func() error{
		p.readStates, p.readExits, p.readTask,
		func() error { return p.readRange(c, snaps) },
		func() (err error) { p.publish, err = readPorts(args, "publish"); return },
		func() (err error) { p.expose, err = readPorts(args, "expose"); return },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	for _, want := range args["name"] {
		// As in docker, what is no expression matches nothing but itself.
		if re, err := regexp.Compile(want); err == nil {
			p.names = append(p.names, re)
		}
	}
	if args.Has("ancestor") {
		p.images = descendants(images, args["ancestor"])
	}
	return p, nil
}

func (p *selection) readStates() error {
	for _, v := range p.args["status"] {
		if container.ValidateContainerState(container.ContainerState(v)) != nil {
			return errs.Invalid("invalid filter 'status=%s'", v)
		}
	}
	for _, v := range p.args["health"] {
		if container.ValidateHealthStatus(container.HealthStatus(v)) != nil {
			return errs.Invalid("unrecognized filter value for health: %s", v)
		}
	}
	return nil
}

func (p *selection) readExits() error {
	for _, v := range p.args["exited"] {
		code, err := strconv.Atoi(v)
		if err != nil {
			return errs.Invalid("invalid filter 'exited=%s': not a number", v)
		}
		p.exits = append(p.exits, code)
	}
	return nil
}

// readTask: no container belongs to a swarm's task.
func (p *selection) readTask() error {
	tasks, err := p.args.Bool("is-task", false)
	p.none = tasks
	return err
}

// readRange turns before and since into places in the list.
func (p *selection) readRange(c *Containers, snaps []*Snapshot) error {
	place := func(ref string) (int, error) {
		ct, err := c.find(ref)
		if err != nil {
			return 0, errs.NotFound("no such container %s", ref)
		}
		return slices.IndexFunc(snaps, func(s *Snapshot) bool { return s.ID == ct.ID() }), nil
	}
	for _, ref := range p.args["before"] {
		i, err := place(ref)
		if err != nil {
			return err
		}
		p.from = i + 1
	}
	for _, ref := range p.args["since"] {
		i, err := place(ref)
		if err != nil {
			return err
		}
		p.to = i
	}
	return nil
}

// readPorts reads "80", "80/udp" and "80-90/tcp".
func readPorts(args filters.Args, key string) ([]network.Port, error) {
	var all []network.Port
	for _, v := range args[key] {
		if strings.Contains(v, ":") {
			return nil, errs.Invalid("filter for '%s' should not contain ':': %s", key, v)
		}
		r, err := network.ParsePortRange(v)
		if err != nil {
			return nil, errs.Invalid("error while looking up for %s %s: %v", key, v, err)
		}
		all = slices.AppendSeq(all, r.All())
	}
	return all, nil
}

// wants tells whether the list shows the container at place i.
func (p *selection) wants(i int, s *Snapshot) bool {
	if p.none || i < p.from || i >= p.to || s.State.Removed || (!s.State.Running && !p.stopped) {
		return false
	}
	return p.wantsState(s) && p.wantsName(s) && p.wantsImage(s) && p.wantsPlace(s) &&
		p.args.Labels("label", s.Config.Labels) && p.args.Labels("annotation", s.HostConfig.Annotations)
}

func (p *selection) wantsState(s *Snapshot) bool {
	if !p.args.Exact("status", string(s.State.Status())) || !p.args.Exact("health", string(container.NoHealthcheck)) {
		return false
	}
	if len(p.exits) == 0 {
		return true
	}
	return !s.State.Running && !s.State.StartedAt.IsZero() && slices.Contains(p.exits, s.State.ExitCode)
}

func (p *selection) wantsName(s *Snapshot) bool {
	if !p.args.Any("id", func(want string) bool { return strings.HasPrefix(s.ID, want) }) {
		return false
	}
	if !p.args.Has("name") || slices.Contains(p.args["name"], s.Name) {
		return true
	}
	return slices.ContainsFunc(p.names, func(re *regexp.Regexp) bool {
		return re.MatchString(s.Name) || re.MatchString("/"+s.Name)
	})
}

func (p *selection) wantsImage(s *Snapshot) bool { return p.images == nil || p.images(s.ImageID) }

// wantsPlace looks at what connects the container: networks, ports, mounts.
func (p *selection) wantsPlace(s *Snapshot) bool {
	if p.args.Has("network") && !p.inNetwork(s) {
		return false
	}
	if len(p.publish)+len(p.expose) > 0 && !p.hasPort(s) {
		return false
	}
	return p.args.Any("volume", func(want string) bool {
		return slices.ContainsFunc(s.Mounts, func(m container.MountPoint) bool {
			return want == m.Destination || (m.Name != "" && want == m.Name) || (m.Name == "" && want == m.Source)
		})
	})
}

func (p *selection) inNetwork(s *Snapshot) bool {
	nets := p.c.endpoints(s)
	return p.args.Any("network", func(want string) bool {
		if _, ok := nets[want]; ok {
			return true
		}
		for _, ep := range nets {
			if ep.NetworkID != "" && strings.HasPrefix(ep.NetworkID, want) {
				return true
			}
		}
		return false
	})
}

// hasPort: a port that is asked for as published or as exposed is enough.
func (p *selection) hasPort(s *Snapshot) bool {
	have := p.c.portMap(s)
	for port, bindings := range have {
		for _, b := range bindings {
			if slices.ContainsFunc(p.publish, func(want network.Port) bool {
				return want.Proto() == port.Proto() && strconv.Itoa(int(want.Num())) == b.HostPort
			}) {
				return true
			}
		}
	}
	for _, want := range p.expose {
		if _, ok := have[want]; ok {
			return true
		}
	}
	return false
}

// descendants tells whether an image is one of those named, or was made from
// one: then the layers and the history of that one are the beginning of its own.
func descendants(names *imageNames, refs []string) func(imageID string) bool {
	var wanted []Image
	for _, ref := range refs {
		if img, err := names.images.Lookup(names.ctx, ref, ""); err == nil {
			wanted = append(wanted, img)
		}
	}
	known := make(map[string]bool)
	return func(id string) bool {
		yes, ok := known[id]
		if !ok {
			img, err := names.images.Lookup(names.ctx, id, "")
			yes = slices.ContainsFunc(wanted, func(w Image) bool { return w.ID == id || (err == nil && madeFrom(img, w)) })
			known[id] = yes
		}
		return yes
	}
}

func madeFrom(img, base Image) bool {
	layers, baseLayers := img.Config.RootFS.DiffIDs, base.Config.RootFS.DiffIDs
	steps, baseSteps := img.Config.History, base.Config.History
	if len(layers) < len(baseLayers) || len(steps) < len(baseSteps) || len(baseLayers) == 0 ||
		len(layers)+len(steps) == len(baseLayers)+len(baseSteps) {
		return false
	}
	for i := range baseSteps {
		if fmt.Sprint(steps[i].Created, steps[i].CreatedBy) != fmt.Sprint(baseSteps[i].Created, baseSteps[i].CreatedBy) {
			return false
		}
	}
	return slices.Equal(layers[:len(baseLayers)], baseLayers)
}
