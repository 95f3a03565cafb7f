package containers

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	units "github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/containers/execs"
	"github.com/jobengine/engine/containers/logspec"
	"github.com/jobengine/engine/containers/request"
	"github.com/jobengine/engine/containers/spec"
	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/cgroupnames"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/logs/driver"
)

// Config is what the noun is made of. All fields without a remark are needed.
type Config struct {
	Root     string // the data root
	ExecRoot string

	Graph       graphdriver.Driver
	GraphDriver string // its name, for inspect
	// Remap is whose ids containers have, unless they ask for the host's; zero for the
	// host's. Graph is a graphdriver.Remapper then, and ExecRoot/roots is there.
	Remap graphdriver.IDMap

	Images   Images
	Networks Networks // nil: containers are connected to nothing
	Runtime  Runtime
	Events   Events
	Logs     map[string]driver.Open // log drivers whose logs can be read, by name; jsonfile.Open

	ExecDriver     string            // of the exec drivers; "" is "native"
	StockDriver    string            // what the runtime "runc" means; "" is ExecDriver
	ExecDrivers    []string          // that a container may name as its runtime, beside ExecDriver
	DefaultLog     string            // log driver of containers that name none; "" is "json-file"
	DefaultLogOpts map[string]string // may be nil
	CgroupDriver   string            // who makes cgroups, of package cgroupnames; "" is cgroupfs
	CgroupParent   string            // "" is that package's default
	Ulimits        []*units.Ulimit   // of containers that do not name them
	DNS            DNS               // of containers that do not say otherwise
	PidsBound      int64             // processes of a container with a cgroup parent of its own and no limit; 0 is any number
	StopTimeout    int               // seconds; 0 is 10, below 0 is for ever
	ShmSizeBytes   int64             // of /dev/shm; 0 is 64 MiB
	Seccomp        bool              // the exec driver can load system call filters

	Defaults spec.Defaults // of isolation
	// EnsureAppArmor loads the profile of Defaults if it is not loaded any more; nil: it needs not be.
	EnsureAppArmor func() error
	InitPath       func() (string, error) // finds the program for --init; nil: there is none

	FS  durable.FS     // nil is durable.OS
	Log *logrus.Logger // nil is logrus' standard logger
}

// Containers is all containers of the engine.
type Containers struct {
	cfg      Config
	dir      string // of the records
	graph    graphdriver.Driver
	images   Images
	networks Networks
	runtime  Runtime
	events   Events
	fsys     durable.FS
	log      *logrus.Logger
	host     *host
	rules    *request.Rules

	index    index
	execs    *execs.Execs
	halfMade []string    // folders without a record, found at the start
	volatile atomic.Bool // the graph driver knows the option of that name

	life    context.Context // ends when the noun is closed
	close   context.CancelFunc
	exited  sync.WaitGroup // handlers of exits, and restarts that wait for their time
	leaving atomic.Bool    // no policy starts anything any more
	gate    sync.Mutex     // of closed
	pruning sync.Mutex     // one prune at a time
	closed  bool
}

// New loads the records. Restore must be called before verbs are.
func New(cfg Config) (*Containers, error) {
	if cfg.ExecDriver == "" {
		cfg.ExecDriver = "native"
	}
	if cfg.StockDriver == "" {
		cfg.StockDriver = cfg.ExecDriver
	}
	if cfg.DefaultLog == "" {
		cfg.DefaultLog = "json-file"
	}
	if cfg.CgroupDriver == "" {
		cfg.CgroupDriver = cgroupnames.Cgroupfs
	}
	if cfg.CgroupParent == "" {
		cfg.CgroupParent = cgroupnames.DefaultParent(cfg.CgroupDriver)
	}
	if cfg.StopTimeout == 0 {
		cfg.StopTimeout = 10
	}
	if cfg.DNS.File == "" {
		cfg.DNS.File = "/etc/resolv.conf"
	}
	if cfg.FS == nil {
		cfg.FS = durable.OS
	}
	if cfg.Log == nil {
		cfg.Log = logrus.StandardLogger()
	}
	if cfg.Networks == nil {
		cfg.Networks = noNetworks{}
	}
	c := &Containers{
		cfg: cfg, dir: filepath.Join(cfg.Root, "containers"),
		graph: cfg.Graph, images: cfg.Images, networks: cfg.Networks, runtime: cfg.Runtime, events: cfg.Events,
		fsys: cfg.FS, log: cfg.Log, host: newHost(cfg.Seccomp),
	}
	c.volatile.Store(true)
	c.rules = c.newRules()
	c.life, c.close = context.WithCancel(context.Background())
	c.execs = c.newExecs()
	if err := os.MkdirAll(c.dir, 0o710); err != nil {
		return nil, err
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// newRules is what requests are held to here.
func (c *Containers) newRules() *request.Rules {
	return &request.Rules{
		Host: c.host.Host, HostName: c.host.name,
		ExecDriver: c.cfg.ExecDriver, StockDriver: c.cfg.StockDriver, CgroupDriver: c.cfg.CgroupDriver, ExecDrivers: c.cfg.ExecDrivers, DefaultLog: c.cfg.DefaultLog, DefaultLogOpts: c.cfg.DefaultLogOpts,
		Ulimits: c.cfg.Ulimits, ShmSizeBytes: c.cfg.ShmSizeBytes, Defaults: c.cfg.Defaults, AppArmor: c.host.facts.AppArmor, CheckLog: func(l container.LogConfig) error { return logspec.Check(l, c.cfg.DefaultLog) }, Remapped: !c.cfg.Remap.IsZero(),
	}
}

// Close stops to follow the runtime. Containers live on.
func (c *Containers) Close() error {
	c.leaving.Store(true)
	c.gate.Lock()
	c.closed = true
	c.gate.Unlock()
	c.close()
	c.exited.Wait()
	return nil
}

// path names a file in the folder of a container.
func (c *Containers) path(id string, name ...string) string {
	return filepath.Join(append([]string{c.dir, id}, name...)...)
}

// bundle is the OCI bundle of a container.
func (c *Containers) bundle(id string) string {
	return filepath.Join(c.cfg.ExecRoot, "containers", id, "bundle")
}
