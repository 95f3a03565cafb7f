package builtins

import (
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/containers"
	"github.com/jobengine/engine/images"
	"github.com/jobengine/engine/networks/ipam"
)

// Config is what the parts are told at boot. Package daemon makes it of flags
// and the configuration file.
type Config struct {
	DataRoot string // exists and is locked by the caller
	ExecRoot string // exists

	StorageDriver string // "" is the first that works here
	StorageOpts   map[string]string
	ExecDriver    string
	ExecOpts      []string           // DRIVER.KEY=VALUE
	Runtimes      map[string]Runtime // by name
	// DefaultRuntime of containers; "" and "runc" are ExecDriver.
	DefaultRuntime string
	LogDriver      string
	LogOpts        map[string]string

	UsernsRemap string // whose ids containers have; "" is the host's

	CgroupDriver        string // set from ExecOpts
	CgroupParent        string // "" is the cgroup driver's default
	DefaultShmSizeBytes int64
	DefaultStopTimeout  time.Duration // negative waits for ever
	ShutdownTimeout     time.Duration // of running requests; only told of

	Isolation  // of containers
	Network    NetworkConfig
	Registries Registries
	Limits     Limits
	GC         *GC // nil is DefaultGC

	Labels        []string
	LiveRestore   bool // containers run on when the daemon stops
	MinAPIVersion string
	Debug         bool

	Log *logrus.Logger
}

// NetworkConfig is what concerns networks.
type NetworkConfig struct {
	Bridge       string // the interface of the network "bridge"; "": the engine's own; "none": there is no such network
	GivenBridge  bool   // Bridge is the administrator's
	Address      netip.Prefix
	FixedRange   netip.Prefix
	FixedIPv6    netip.Prefix
	IPv6         bool
	MTU          int
	ICC, Masq    bool
	Forward      bool
	BindIP       netip.Addr
	AddressPools []AddressPool
	DNS          DNS
	HostGateway  []netip.Addr // nil: the default bridge's
}

// DNS is how containers resolve names that say nothing themselves.
type DNS = containers.DNS

// AddressPool is a range of addresses that is divided into subnets of networks.
type AddressPool = ipam.Pool

// GC is what is removed of images by itself.
type GC = images.GC

// DefaultGC holds unless the configuration says something else.
func DefaultGC() GC { return images.DefaultGC() }
