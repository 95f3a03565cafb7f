package containers

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/containers/logspec"
	"github.com/jobengine/engine/containers/request"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/failpoint"
	"github.com/jobengine/engine/internal/names"
	"github.com/jobengine/engine/internal/phase"
	"github.com/jobengine/engine/jobs"
)

// create makes a container that can be started. When it answers, the container
// outlives a power cut, unless it is one with AutoRemove.
func (c *Containers) create(ctx context.Context, _ *engine.Job, in jobs.CreateIn) (jobs.CreateOut, error) {
	none := jobs.CreateOut{}
	if in.Config == nil {
		return none, errs.Invalid("Config cannot be empty in order to create a container")
	}
	c.runtime.Expect() // a start mostly follows at once
	s, img, warnings, err := c.plan(ctx, in)
	if err != nil {
		return none, err
	}
	phase.Mark("daemon", "create checked")
	if s.Name, err = c.reserve(s.ID, in.Name, s.ImageID); err != nil {
		return none, err
	}
	ct, err := c.build(ctx, s)
	if err != nil {
		c.index.release(s.ID)
		return none, err
	}
	c.index.add(ct)
	c.event(s, events.ActionCreate)

	out := jobs.CreateOut{CreateResponse: container.CreateResponse{ID: s.ID, Warnings: []string{}}}
	if img.Warning != "" {
		out.Warnings = append(out.Warnings, img.Warning)
	}
	out.Warnings = append(append(out.Warnings, warnings...), c.warnings(s)...)
	return out, nil
}

// plan checks what was asked for and works out the container, which is not
// there yet and has no name.
func (c *Containers) plan(ctx context.Context, in jobs.CreateIn) (_ *Snapshot, _ Image, warnings []string, _ error) {
	cfg := *in.Config
	hc := container.HostConfig{}
	if in.HostConfig != nil {
		hc = *in.HostConfig
	}
	if in.Name != "" {
		if _, err := request.CheckName(in.Name); err != nil {
			return nil, Image{}, nil, err
		}
	}
	if err := request.CheckConfig(&cfg); err != nil {
		return nil, Image{}, nil, err
	}
	warnings, err := c.rules.CheckHostConfig(&cfg, &hc)
	if err != nil {
		return nil, Image{}, nil, err
	}
	networks, err := request.Endpoints(in.NetworkingConfig, &hc)
	if err != nil {
		return nil, Image{}, nil, err
	}
	points, err := request.PlanMounts(&hc)
	if err != nil {
		return nil, Image{}, nil, err
	}
	if cfg.Image == "" {
		return nil, Image{}, nil, errs.Invalid("No command specified")
	}
	img, err := c.images.Lookup(ctx, cfg.Image, in.Platform)
	if err != nil {
		return nil, Image{}, nil, err
	}
	for target := range cfg.Volumes {
		if _, ofImage := img.Config.Config.Volumes[target]; !ofImage {
			return nil, Image{}, nil, request.NoVolumes("", target)
		}
	}
	request.MergeImage(&cfg, &img.Config.Config)
	if len(cfg.Entrypoint) == 1 && cfg.Entrypoint[0] == "" {
		cfg.Entrypoint = nil
	}
	path, args, ok := request.Program(&cfg)
	if !ok {
		return nil, Image{}, nil, errs.Invalid("No command specified")
	}
	// The image's words are held to the same rules as the user's.
	if err := request.CheckConfig(&cfg); err != nil {
		return nil, Image{}, nil, err
	}
	id := newID()
	volumes, err := c.planVolumes(id, &cfg, points)
	if err != nil {
		return nil, Image{}, nil, err
	}
	if err := c.settleJoins(&hc); err != nil {
		return nil, Image{}, nil, err
	}
	if err := c.settleLinks(&hc, networks); err != nil {
		return nil, Image{}, nil, err
	}
	c.rules.FillDefaults(&cfg, &hc, id)
	s := &Snapshot{
		ID: id, Created: time.Now().UTC(), ImageID: img.ID, Path: path, Args: args,
		Config: &cfg, HostConfig: &hc, Mounts: append(points, volumes...), Networks: networks, Driver: c.cfg.GraphDriver,
	}
	if hc.LogConfig.Type == logspec.JSONFile {
		s.LogPath = c.path(id, id+"-json.log")
	}
	return s, img, warnings, s.Store()
}

// reserve takes the name, or makes one up.
func (c *Containers) reserve(id, name, imageID string) (string, error) {
	if name != "" {
		name, _ = request.CheckName(name)
		return name, c.index.reserve(id, name, imageID)
	}
	for attempt := range 20 {
		name = names.Random(attempt)
		if err := c.index.reserve(id, name, imageID); err == nil {
			return name, nil
		} else if !errdefs.IsConflict(err) {
			return "", err
		}
	}
	name = id[:12]
	return name, c.index.reserve(id, name, imageID)
}

// build puts the container on disk: folder, layer, volumes, record, in this
// order, so that a folder without a record is known for half-made.
func (c *Containers) build(ctx context.Context, s *Snapshot) (_ *Container, err error) {
	defer func() {
		if err != nil {
			err = c.unbuild(context.WithoutCancel(ctx), s.ID, err)
		}
	}()
	synced := !s.HostConfig.AutoRemove
	mkdir := durable.MkdirAllUnsynced
	if synced {
		mkdir = durable.MkdirAll
	}
	if err := mkdir(c.fsys, c.path(s.ID), 0o710); err != nil {
		return nil, err
	}
	if err := failpoint.Hit(failpoint.CreateFolder); err != nil {
		return nil, err
	}
	parent, err := c.images.Parent(ctx, s.ImageID)
	if err != nil {
		return nil, err
	}
	if err := c.createLayer(ctx, s, parent); err != nil {
		return nil, err
	}
	phase.Mark("daemon", "layer made")
	if err := failpoint.Hit(failpoint.CreateLayer); err != nil {
		return nil, err
	}
	if synced {
		if err := graphdriver.Sync(ctx, c.graph, s.ID); err != nil {
			return nil, err
		}
	}
	if err := c.fillVolumes(ctx, s); err != nil {
		return nil, err
	}
	if err := c.write(s, synced); err != nil {
		return nil, err
	}
	phase.Mark("daemon", "record written")
	if err := failpoint.Hit(failpoint.CreateRecord); err != nil {
		return nil, err
	}
	return newContainer(s), nil
}

// unbuild takes back what build has done: the record first, the folder last, so
// that at any moment there is a whole container or a folder that says there is none.
func (c *Containers) unbuild(ctx context.Context, id string, cause error) error {
	for _, step := range []func() error{
		func() error { return durable.Remove(c.fsys, c.recordPath(id)) },
		func() error { return c.removeLayer(ctx, id) },
		func() error { return c.removeFiles(id) },
	} {
		if err := step(); err != nil && !isNotExist(err) {
			c.log.Errorf("container %s was not made, and what there is of it is removed at the next start: %v", id, err)
			break
		}
	}
	return cause
}

// createLayer makes the layer that the container writes to. Nobody owes
// durability to one with AutoRemove: where the driver knows how, it saves the
// work.
func (c *Containers) createLayer(ctx context.Context, s *Snapshot, parent string) error {
	opts := map[string]string{}
	maps.Copy(opts, s.HostConfig.StorageOpt)
	fast := s.HostConfig.AutoRemove && c.volatile.Load()
	if fast {
		opts["volatile"] = "true"
	}
	err := c.graph.CreateReadWrite(ctx, s.ID, parent, opts)
	if fast && errdefs.IsInvalidArgument(err) {
		c.volatile.Store(false)
		err = c.graph.CreateReadWrite(ctx, s.ID, parent, s.HostConfig.StorageOpt)
	}
	if errdefs.IsNotFound(err) {
		// The image was removed under our hands.
		return errs.NotFound("No such image: %s", s.Config.Image)
	}
	return err
}

// newID makes a random id that no shortening makes a number of, which some
// would take for a process id.
func newID() string {
	for {
		var b [32]byte
		_, _ = rand.Read(b[:]) // never fails
		id := hex.EncodeToString(b[:])
		if _, err := strconv.ParseInt(id[:12], 10, 64); err != nil {
			return id
		}
	}
}

// warnings tells what is taken but has no effect here.
func (c *Containers) warnings(s *Snapshot) []string {
	var list []string
	if !c.host.facts.Seccomp && !s.HostConfig.Privileged {
		list = append(list, "This engine was built without seccomp or the kernel lacks it: the container runs without a system call filter.")
	}
	list = append(list, c.rules.Unapplied(s.HostConfig)...)
	if h := s.Config.Healthcheck; h != nil && len(h.Test) > 0 && h.Test[0] != "NONE" {
		list = append(list, "Health checks are stored but not yet run in this version.")
	}
	return list
}
