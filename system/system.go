package system

import (
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
	Labels         []string
	Debug          bool
	LiveRestore    bool
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
	Registries *registry.ServiceConfig // how registries are reached
	Checkers   []Checker               // asked in this order
}

// System answers for the engine as a whole.
type System struct {
	Config
	host host
}

// New makes the noun.
func New(cfg Config) *System { return &System{Config: cfg, host: readHost()} }

// Install registers the jobs of the system.
func (s *System) Install(eng *engine.Engine) {
	jobs.Version.Register(eng, s.version)
	jobs.Info.Register(eng, s.info)
	jobs.SystemCheck.Register(eng, s.check)
	jobs.SystemDf.Register(eng, s.df)
}
