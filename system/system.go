package system

import (
	"sync/atomic"

	"github.com/moby/moby/api/types/registry"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// Config is what the noun is told at boot.
type Config struct {
	EngineID      string // durable identity of this data root
	DataRoot      string
	StorageDriver string
	CgroupDriver  string
	// DefaultRuntime of containers.
	DefaultRuntime string
	LogDriver      string   // default of containers
	LogDrivers     []string // that there are
	APIVersion     string   // newest that is served
	MinAPIVersion  string
	InitBinary     string   // what --init runs
	Warnings       []string // what boot found out
	// SecurityOptions that are on besides those that follow from the host, such as name=userns.
	SecurityOptions []string

	Containers Containers
	Images     Images
	Graph      Graph
	Networks   Networks
	Events     Events
	Runtime    Runtimes
	Live       Live
	Checkers   []Checker // asked in this order
}

// Live is what can be changed while the engine runs.
type Live struct {
	Labels      []string
	Debug       bool
	LiveRestore bool
	Registries  *registry.ServiceConfig // how registries are reached
}

// System answers for the engine as a whole.
type System struct {
	Config
	host host
	live atomic.Pointer[Live]
}

// New makes the noun.
func New(cfg Config) *System {
	s := &System{Config: cfg, host: readHost()}
	s.Configure(cfg.Live)
	return s
}

// Configure changes what can be changed.
func (s *System) Configure(l Live) { s.live.Store(&l) }

// Install registers the jobs of the system.
func (s *System) Install(eng *engine.Engine) {
	jobs.Version.Register(eng, s.version)
	jobs.Info.Register(eng, s.info)
	jobs.SystemCheck.Register(eng, s.check)
	jobs.SystemDf.Register(eng, s.df)
}
