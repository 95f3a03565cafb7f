package daemon

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"github.com/jobengine/engine/builtins"
)

// Where things are unless flags say otherwise.
const (
	defaultConfigFile = "/etc/engine/daemon.json"
	defaultDataRoot   = "/var/lib/engine"
	defaultExecRoot   = "/run/engine"
	defaultHost       = "unix:///run/engine.sock"
)

// Config is what flags and configuration file have said.
type Config struct {
	ConfigFile string
	Validate   bool
	CleanUp    bool

	DataRoot string
	ExecRoot string
	PidFile  string

	Hosts       []string
	SocketGroup string
	TLS         bool
	TLSVerify   bool
	TLSCACert   string
	TLSCert     string
	TLSKey      string
	plainTCP    bool // --tls=false was given outright

	StorageDriver string
	StorageOpts   []string
	ExecDriver    string
	ExecOpts      []string
	// Runtimes are OCI runtimes by name; DefaultRuntime is that of containers that name none.
	Runtimes       runtimes
	DefaultRuntime string
	LogDriver      string
	LogOpts        map[string]string

	Labels         []string
	UsernsRemap    string
	CgroupParent   string
	LiveRestore    bool
	MinAPIVersion  string
	DefaultShmSize byteSize

	Isolation  isolation
	Limits     limits
	Network    networking
	Registries registries
	GC         garbage

	ShutdownTimeoutSeconds    int
	DefaultStopTimeoutSeconds int

	Debug     bool
	LogLevel  string
	LogFormat string
}

// byteSize is a number of bytes that is written as 64m or 1g.
type byteSize int64

func (b *byteSize) String() string { return units.BytesSize(float64(*b)) }
func (b *byteSize) Type() string   { return "bytes" }
func (b *byteSize) Set(text string) error {
	n, err := units.RAMInBytes(text)
	*b = byteSize(n)
	return err
}

// flagSet binds the daemon's flags to cfg.
func flagSet(cfg *Config) *pflag.FlagSet {
	f := pflag.NewFlagSet("engine -d", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.SortFlags = true
	f.Usage = func() {}
	f.BoolP("daemon", "d", false, "Run as the daemon")
	f.BoolP("help", "h", false, "Print usage")
	f.BoolP("version", "v", false, "Print version information and quit")

	f.StringVar(&cfg.ConfigFile, "config-file", defaultConfigFile, "Daemon configuration file")
	f.BoolVar(&cfg.Validate, "validate", false, "Validate the configuration and exit")
	f.BoolVar(&cfg.CleanUp, "cleanup", false, "Remove from the host what a daemon that is not running left there: interfaces, firewall rules, mounts, cgroups; keep containers and images, and exit")

	f.StringVarP(&cfg.DataRoot, "data-root", "g", defaultDataRoot, "Root directory of persistent state")
	f.StringVar(&cfg.DataRoot, "graph", defaultDataRoot, "Root directory of persistent state")
	_ = f.MarkDeprecated("graph", "use --data-root")
	f.StringVar(&cfg.ExecRoot, "exec-root", defaultExecRoot, "Root directory of the state of running containers")
	f.StringVarP(&cfg.PidFile, "pidfile", "p", "", "Path of the PID file (default EXEC-ROOT/engine.pid)")

	f.StringArrayVarP(&cfg.Hosts, "host", "H", nil, "Socket(s) to listen on: unix://, tcp://, fd:// (default "+defaultHost+")")
	f.StringVarP(&cfg.SocketGroup, "group", "G", "", `Group of the unix socket (default "docker" where it exists, else "engine")`)
	f.BoolVar(&cfg.TLS, "tls", false, "Use TLS; implied by --tlsverify. --tls=false allows TCP beyond loopback without TLS")
	f.BoolVar(&cfg.TLSVerify, "tlsverify", false, "Use TLS and verify the clients")
	f.StringVar(&cfg.TLSCACert, "tlscacert", "", "Trust certificates signed only by this CA")
	f.StringVar(&cfg.TLSCert, "tlscert", "", "Path of the TLS certificate file")
	f.StringVar(&cfg.TLSKey, "tlskey", "", "Path of the TLS key file")

	f.StringVarP(&cfg.StorageDriver, "storage-driver", "s", "", "Graph driver to use (default: the first that works here)")
	f.StringArrayVar(&cfg.StorageOpts, "storage-opt", nil, "Graph driver options, KEY=VALUE")
	f.StringVarP(&cfg.ExecDriver, "exec-driver", "e", "native", "Exec driver to use")
	f.StringArrayVar(&cfg.ExecOpts, "exec-opt", nil, "Exec driver options, DRIVER.KEY=VALUE")
	f.Var(&cfg.Runtimes, "add-runtime", "Register an additional OCI compatible runtime, NAME=PATH")
	f.StringVar(&cfg.DefaultRuntime, "default-runtime", "", "Default runtime of containers (default: the exec driver)")
	f.StringVar(&cfg.LogDriver, "log-driver", "json-file", "Default log driver of containers")
	f.StringToStringVar(&cfg.LogOpts, "log-opt", nil, "Default log driver options of containers, KEY=VALUE")

	f.StringArrayVar(&cfg.Labels, "label", nil, "Labels of the daemon, KEY=VALUE")
	f.StringVar(&cfg.CgroupParent, "cgroup-parent", "", `Parent cgroup of all containers (default "/engine", with systemd "engine.slice")`)
	f.StringVar(&cfg.UsernsRemap, "userns-remap", "", "User and group whose ids containers have: default, USER, USER:GROUP, UID, UID:GID")
	f.BoolVar(&cfg.LiveRestore, "live-restore", true, "Keep containers running while the daemon is down")
	f.StringVar(&cfg.MinAPIVersion, "min-api-version", "1.24", "Oldest API version that is served")
	cfg.DefaultShmSize = 64 << 20
	f.Var(&cfg.DefaultShmSize, "default-shm-size", "Default size of /dev/shm of containers")
	cfg.Isolation.flags(f)
	cfg.Limits.flags(f)
	cfg.Network.flags(f)
	cfg.Registries.flags(f)
	cfg.GC.GC = builtins.DefaultGC()
	f.Var(&cfg.GC, "gc", "What of images is removed by itself: max-size=BYTES,unused=BOOL,keep-for=TIME,keep-downloads=TIME")
	f.IntVar(&cfg.ShutdownTimeoutSeconds, "shutdown-timeout", 15, "Seconds that running requests may take at shutdown")
	f.IntVar(&cfg.DefaultStopTimeoutSeconds, "default-stop-timeout", 10, "Seconds that containers may take to stop")

	f.BoolVarP(&cfg.Debug, "debug", "D", false, "Enable debug mode")
	f.StringVarP(&cfg.LogLevel, "log-level", "l", "info", "Logging level (debug, info, warn, error, fatal)")
	f.StringVar(&cfg.LogFormat, "log-format", "text", "Logging format (text, json)")
	return f
}

// Usage is the help text of the daemon.
func Usage() string {
	return "Usage:  engine -d [OPTIONS]\n\nRun the engine's daemon.\n\nOptions:\n" + flagSet(&Config{}).FlagUsages()
}

// Wanted tells whether a command line asks for the daemon: -d or --daemon
// stands before the first word that is not a flag.
func Wanted(args []string) bool {
	flags := flagSet(&Config{})
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--daemon" || arg == "--daemon=true":
			return true
		case arg == "--" || arg == "-" || !strings.HasPrefix(arg, "-"):
			return false
		case strings.HasPrefix(arg, "--"):
			name, _, withValue := strings.Cut(arg[2:], "=")
			if takesValue(flags.Lookup(name)) && !withValue {
				i++
			}
		default:
			// A bundle such as -Dd; a flag with a value swallows the rest or the next word.
			for j, c := range arg[1:] {
				if c == 'd' {
					return true
				}
				if takesValue(flags.ShorthandLookup(string(c))) {
					if j == len(arg)-2 {
						i++
					}
					break
				}
			}
		}
	}
	return false
}

func takesValue(f *pflag.Flag) bool { return f != nil && f.NoOptDefVal == "" }

// parse reads the command line and the configuration file.
func parse(args []string) (*Config, *pflag.FlagSet, error) {
	cfg := &Config{}
	flags := flagSet(cfg)
	if err := flags.Parse(args); err != nil {
		return cfg, flags, usageError{err}
	}
	if flags.NArg() > 0 {
		return cfg, flags, usageError{fmt.Errorf("the daemon takes no arguments: %q", flags.Args())}
	}
	if err := readConfigFile(cfg.ConfigFile, flags); err != nil {
		return cfg, flags, err
	}
	return cfg, flags, complete(cfg, flags)
}

// usageError is a mistake on the command line.
type usageError struct{ error }

// complete fills in what follows from other settings, and refuses what makes no sense.
func complete(cfg *Config, flags *pflag.FlagSet) error {
	if len(cfg.Hosts) == 0 {
		cfg.Hosts = []string{defaultHost}
	}
	if cfg.PidFile == "" {
		cfg.PidFile = cfg.ExecRoot + "/engine.pid"
	}
	if cfg.TLSVerify {
		cfg.TLS = true
	}
	cfg.plainTCP = flags.Changed("tls") && !cfg.TLS
	if cfg.Debug {
		cfg.LogLevel = "debug"
	}
	for _, path := range []struct{ flag, value string }{{"data-root", cfg.DataRoot}, {"exec-root", cfg.ExecRoot}, {"pidfile", cfg.PidFile}} {
		if !strings.HasPrefix(path.value, "/") {
			return fmt.Errorf("%s: %q is not an absolute path", path.flag, path.value)
		}
	}
	if cfg.ShutdownTimeoutSeconds < -1 || cfg.DefaultStopTimeoutSeconds < -1 {
		return fmt.Errorf("a timeout is a number of seconds, or -1 for no limit")
	}
	if _, err := logrus.ParseLevel(cfg.LogLevel); err != nil {
		return fmt.Errorf("log-level: %w", err)
	}
	if cfg.LogFormat != "text" && cfg.LogFormat != "json" {
		return fmt.Errorf("log-format: %q is neither text nor json", cfg.LogFormat)
	}
	if _, err := builtins.ParseExecOptions(cfg.ExecOpts); err != nil {
		return err
	}
	if err := cfg.Limits.check(); err != nil {
		return err
	}
	if err := cfg.Isolation.check(); err != nil {
		return err
	}
	if err := cfg.Registries.check(); err != nil {
		return err
	}
	if err := cfg.Network.check(); err != nil {
		return err
	}
	for _, label := range cfg.Labels {
		if key, _, ok := strings.Cut(label, "="); !ok || key == "" {
			return fmt.Errorf("bad attribute format: %s", label)
		}
	}
	return nil
}

// shutdownTimeout is how long running requests are waited for.
func (cfg *Config) shutdownTimeout() time.Duration {
	if cfg.ShutdownTimeoutSeconds < 0 {
		return 24 * time.Hour
	}
	return time.Duration(cfg.ShutdownTimeoutSeconds) * time.Second
}
