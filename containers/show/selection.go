package show

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/containers/state"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/filters"
	"github.com/jobengine/engine/jobs"
)

// Selection is what of all containers a list shows.
type Selection struct {
	source  Source
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

// NewSelection reads what of snaps, the newest first, is asked for.
func NewSelection(in jobs.ContainersIn, snaps []*state.Snapshot, source Source, images *Images) (*Selection, error) {
	args := in.Filters
	if err := args.Check("ancestor", "annotation", "before", "exited", "expose", "health", "id", "isolation",
		"is-task", "label", "name", "network", "publish", "since", "status", "volume"); err != nil {
		return nil, err
	}
	p := &Selection{source: source, args: args, stopped: in.All || in.Limit > 0 || args.Has("status"), to: len(snaps)}
	for _, step := range []func() error{
		p.readStates, p.readExits, p.readTask,
		func() error { return p.readRange(snaps) },
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
		p.images = images.descendants(args["ancestor"])
	}
	return p, nil
}

func (p *Selection) readStates() error {
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

func (p *Selection) readExits() error {
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
func (p *Selection) readTask() error {
	tasks, err := p.args.Bool("is-task", false)
	p.none = tasks
	return err
}

// readRange turns before and since into places in the list.
func (p *Selection) readRange(snaps []*state.Snapshot) error {
	place := func(ref string) (int, error) {
		id, err := p.source.Find(ref)
		if err != nil {
			return 0, errs.NotFound("no such container %s", ref)
		}
		return slices.IndexFunc(snaps, func(s *state.Snapshot) bool { return s.ID == id }), nil
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

// Wants tells whether the list shows the container at place i.
func (p *Selection) Wants(i int, s *state.Snapshot) bool {
	if p.none || i < p.from || i >= p.to || s.State.Removed || (!s.State.Running && !p.stopped) {
		return false
	}
	return p.wantsState(s) && p.wantsName(s) && p.wantsImage(s) && p.wantsPlace(s) &&
		p.args.Labels("label", s.Config.Labels) && p.args.Labels("annotation", s.HostConfig.Annotations)
}

func (p *Selection) wantsState(s *state.Snapshot) bool {
	if !p.args.Exact("status", string(s.State.Status())) || !p.args.Exact("health", string(container.NoHealthcheck)) {
		return false
	}
	if len(p.exits) == 0 {
		return true
	}
	return !s.State.Running && !s.State.StartedAt.IsZero() && slices.Contains(p.exits, s.State.ExitCode)
}

func (p *Selection) wantsName(s *state.Snapshot) bool {
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

func (p *Selection) wantsImage(s *state.Snapshot) bool { return p.images == nil || p.images(s.ImageID) }

// wantsPlace looks at what connects the container: networks, ports, mounts.
func (p *Selection) wantsPlace(s *state.Snapshot) bool {
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

func (p *Selection) inNetwork(s *state.Snapshot) bool {
	nets := p.source.Endpoints(s)
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
func (p *Selection) hasPort(s *state.Snapshot) bool {
	have := p.source.Ports(s)
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
