package builtins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/containers"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/events"
	"github.com/jobengine/engine/images"
	"github.com/jobengine/engine/internal/hostinfo"
	"github.com/jobengine/engine/internal/quiet"
	"github.com/jobengine/engine/jobs"
	"github.com/jobengine/engine/server"
	"github.com/jobengine/engine/system"
)

// InstallServer registers serveapi and acceptconnections, so that sockets can
// be bound before anything slow happens.
func (set *Set) InstallServer(eng *engine.Engine, cfg Config) {
	set.server = server.Install(eng, server.Options{Log: cfg.Log, Debug: cfg.Debug, MinAPIVersion: cfg.MinAPIVersion})
}

// Install opens the drivers, makes the nouns, connects them, finds again what
// a former daemon left, and registers all jobs. What it opened is closed by
// the engine's Shutdown, also after an error.
func (set *Set) Install(ctx context.Context, eng *engine.Engine, cfg Config) error {
	if cfg.Log == nil {
		cfg.Log = logrus.StandardLogger()
	}
	drivers, err := set.settle(&cfg)
	if err != nil {
		return err
	}
	defaults, err := cfg.defaults()
	if err != nil {
		return err
	}
	var ensureProfile func() error
	security := []string{}
	if defaults.AppArmor = loadAppArmor(cfg.Log); defaults.AppArmor != "" {
		ensureProfile, security = ensureAppArmor, append(security, "name=apparmor")
	}
	id := identify(cfg.DataRoot, cfg.Log.Warnf)
	graph, graphName, err := set.openGraph(cfg)
	if err != nil {
		return err
	}
	eng.OnShutdown("graph driver "+graphName, func(context.Context) error { return graph.Cleanup() })

	remap, err := remapFor(cfg, graph)
	if err != nil {
		return err
	}

	tidyCgroup(eng, cfg)
	pids := cfg.bound()
	sup, err := set.openSupervisor(ctx, cfg, drivers)
	if err != nil {
		return err
	}
	eng.OnShutdown("supervisor", func(ctx context.Context) error {
		// It ends at once, or as soon as the last container has.
		return errors.Join(sup.Shutdown(ctx), sup.Close())
	})

	if set.server != nil {
		set.server.OnConnect(sup.Expect)
	}
	rest := quiet.Memory(5 * time.Second)
	eng.Use("rest", func(next engine.Handler) engine.Handler {
		return func(ctx context.Context, job *engine.Job, in any) (any, error) {
			defer rest.Touch()
			return next(ctx, job, in)
		}
	})

	bus := events.New()
	nets, err := set.openNetworks(ctx, eng, cfg, id, bus)
	if err != nil {
		return err
	}
	users := &imageUsers{}
	regs, err := cfg.Registries.client()
	if err != nil {
		return err
	}
	img, err := images.New(images.Config{
		Root: cfg.DataRoot, Graph: graph, GraphDriver: graphName, Events: bus, Containers: users, Log: cfg.Log,
		Registry: regs, Downloads: cfg.Registries.Downloads, Uploads: cfg.Registries.Uploads, DownloadAttempts: cfg.Registries.Attempts,
		GC: cfg.GC,
	})
	if err != nil {
		return fmt.Errorf("images: %w", err)
	}
	eng.OnShutdown("images", func(context.Context) error { return img.Close() })

	ctrs, err := containers.New(containers.Config{
		Root: cfg.DataRoot, ExecRoot: cfg.ExecRoot,
		Graph: graph, GraphDriver: graphName, Remap: remap,
		Images: imageSource{img}, Networks: containerNetworks{nets}, Runtime: newRuntime(sup), Events: containerEvents{bus, img}, Logs: set.Logs.items,
		ExecDriver: cfg.DefaultRuntime, StockDriver: cfg.ExecDriver, ExecDrivers: cfg.runtimes(set), DefaultLog: cfg.LogDriver, DefaultLogOpts: cfg.LogOpts,
		CgroupDriver: cfg.CgroupDriver, CgroupParent: cfg.CgroupParent, PidsBound: pids, Ulimits: cfg.Limits.Ulimits, StopTimeout: int(cfg.DefaultStopTimeout.Seconds()),
		ShmSizeBytes: cfg.DefaultShmSizeBytes, DNS: cfg.Network.DNS,
		Defaults: defaults, InitPath: cfg.initFinder(), EnsureAppArmor: ensureProfile,
		Seccomp: hostinfo.SeccompBuilt, Log: cfg.Log,
	})
	if err != nil {
		return fmt.Errorf("containers: %w", err)
	}
	users.Containers = ctrs
	keep := &atomic.Bool{} // containers, when the daemon stops
	keep.Store(cfg.LiveRestore)
	eng.OnShutdown("containers", func(ctx context.Context) error {
		if !keep.Load() {
			ctrs.StopAll(ctx)
		}
		return ctrs.Close()
	})
	if err := ctrs.Restore(ctx); err != nil {
		return fmt.Errorf("containers: %w", err)
	}
	img.StartGC()

	jobs.SupervisorUpgrade.Register(eng, upgradeSupervisor(sup))
	bus.Install(eng)
	img.Install(eng)
	ctrs.Install(eng)
	nets.Install(eng)
	sys := system.New(system.Config{
		EngineID: id.ID, DataRoot: filepath.Clean(cfg.DataRoot),
		StorageDriver: graphName, DefaultRuntime: cfg.DefaultRuntime, CgroupDriver: cfg.CgroupDriver, LogDriver: cfg.LogDriver,
		// none writes nothing, and so is on no list of what can be read.
		LogDrivers: append(set.Logs.Names(), "none"),
		APIVersion: server.MaxAPIVersion, MinAPIVersion: cfg.MinAPIVersion,
		InitBinary: cmp.Or(cfg.InitPath, stockInit),
		Live:       cfg.live(regs), SecurityOptions: append(security, securityOptions(remap)...),
		Containers: containerCounts{ctrs}, Images: img, Graph: graph, Networks: nets, Events: bus, Runtime: execDrivers{set, cfg}, Checkers: []system.Checker{ctrs, img},
	})
	sys.Install(eng)
	set.onReload(id.ID, bus, img, sys, keep)

	for _, name := range set.Jobs.Names() {
		install, _ := set.Jobs.Get(name)
		install(eng)
	}
	return nil
}
