package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/jobengine/engine/builtins"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/version"
	"github.com/jobengine/engine/jobs"
)

// Main is `engine -d`. It returns the exit code of the process: 0 after a
// clean stop, 125 for a mistake on the command line, 1 for anything else.
func Main(set *builtins.Set, args []string) int {
	cfg, flags, err := parse(args)
	if flags.Changed("help") {
		fmt.Print(Usage())
		return 0
	}
	if flags.Changed("version") {
		fmt.Printf("Engine version %s, build %s\n", version.Version, version.GitCommit)
		return 0
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "engine -d: %v\n", err)
		var usage usageError
		if errors.As(err, &usage) {
			fmt.Fprintf(os.Stderr, "See 'engine -d --help'.\n")
			return 125
		}
		return 1
	}
	if cfg.Validate {
		fmt.Println("configuration OK")
		return 0
	}
	log, err := newLog(cfg)
	switch {
	case err != nil:
	case cfg.CleanUp:
		err = cleanUp(set, cfg, log)
	default:
		err = run(set, newConfigured(set, log, args, cfg, flags), log)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "engine -d: %v\n", err)
		return 1
	}
	return 0
}

// run is the life of a daemon.
func run(set *builtins.Set, configured *configured, log *logrus.Logger) error {
	cfg := configured.config()
	unix.Umask(0o022)
	ctx, untrap := trap(log, configured.reload)
	defer untrap()

	// One daemon for a data root and an exec root: locks say so, not files.
	release, err := claim(cfg)
	if err != nil {
		return err
	}
	defer release()

	eng := engine.New()
	eng.Use("log", engine.LogJobs(log))
	eng.Use("recover", engine.RecoverJobs(func(job *engine.Job, thrown any) {
		log.Errorf("job %s panicked: %v\n%s", job, thrown, debug.Stack())
	}))

	// The sockets are bound before the slow part of booting, so that clients
	// that connect meanwhile wait instead of failing.
	set.InstallServer(eng, cfg.parts(log))
	served := make(chan error, 1)
	go func() {
		_, err := jobs.ServeAPI.Run(context.Background(), eng, cfg.serve())
		served <- err
	}()

	boot := func() error {
		if err := set.Install(ctx, eng, cfg.parts(log)); err != nil {
			return err
		}
		_, err := jobs.AcceptConnections.Run(ctx, eng, jobs.AcceptConnectionsIn{})
		return err
	}
	booted := make(chan error, 1)
	go func() { booted <- boot() }()

	var failed error
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case err := <-served:
			failed, running = err, false
			served <- nil // for the wait below
		case err := <-booted:
			if err != nil {
				failed, running = err, false
			} else {
				log.Infof("engine %s (%s) is up: %s", version.Version, version.GitCommit, strings.Join(cfg.Hosts, " "))
				booted = nil
			}
		}
	}

	deadline, cancel := context.WithTimeout(context.Background(), configured.config().shutdownTimeout())
	defer cancel()
	if booted != nil && failed == nil {
		<-booted // a boot in progress sees ctx end, or finishes
	}
	err = eng.Shutdown(deadline)
	select {
	case <-served:
	case <-time.After(5 * time.Second):
	}
	if ctx.Err() != nil && errors.Is(failed, context.Canceled) {
		failed = nil
	}
	if failed == nil && err == nil {
		log.Info("the engine has stopped")
	}
	return errors.Join(failed, err)
}

// claim makes the folders and takes the locks of this daemon.
func claim(cfg *Config) (release func(), err error) {
	var undo []func()
	undoAll := func() {
		for i := len(undo) - 1; i >= 0; i-- {
			undo[i]()
		}
	}
	defer func() {
		if err != nil {
			undoAll()
		}
	}()
	for _, dir := range []struct {
		path string
		perm os.FileMode
	}{{cfg.DataRoot, 0o710}, {cfg.ExecRoot, 0o700}} {
		if err := os.MkdirAll(dir.path, dir.perm); err != nil {
			return nil, err
		}
		var lock *durable.DirLock
		err := patiently(func() (err error) {
			lock, err = durable.Lock(dir.path)
			return err
		})
		if err != nil {
			return nil, err
		}
		undo = append(undo, func() { lock.Unlock() })
	}
	var pid *pidFile
	err = patiently(func() (err error) {
		pid, err = writePidFile(cfg.PidFile)
		return err
	})
	if err != nil {
		return nil, err
	}
	undo = append(undo, pid.remove)

	// Temporary files belong into the data root: never across file systems,
	// never where others can look.
	temp := filepath.Join(cfg.DataRoot, "tmp")
	if err := os.MkdirAll(temp, 0o700); err != nil && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EROFS) {
		return nil, err
	}
	cfg.Registries.setProxies()
	return undoAll, os.Setenv("TMPDIR", temp)
}

// patiently tries again for half a second: a daemon that was just killed may
// not have let go of its locks yet.
func patiently(lock func() error) error {
	for until := time.Now().Add(500 * time.Millisecond); ; time.Sleep(10 * time.Millisecond) {
		if err := lock(); err == nil || time.Now().After(until) {
			return err
		}
	}
}

func newLog(cfg *Config) (*logrus.Logger, error) {
	log := logrus.StandardLogger()
	level, err := logrus.ParseLevel(cfg.LogLevel)
	if err != nil {
		return nil, fmt.Errorf("log-level: %w", err)
	}
	log.SetLevel(level)
	log.SetOutput(os.Stderr)
	if cfg.LogFormat == "json" {
		log.SetFormatter(&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano})
	} else {
		log.SetFormatter(&logrus.TextFormatter{TimestampFormat: time.RFC3339Nano, FullTimestamp: true, DisableColors: true})
	}
	return log, nil
}

// parts is the configuration in the form that builtins want.
func (cfg *Config) parts(log *logrus.Logger) builtins.Config {
	return builtins.Config{
		DataRoot: cfg.DataRoot, ExecRoot: cfg.ExecRoot,
		StorageDriver: cfg.StorageDriver, StorageOpts: pairs(cfg.StorageOpts),
		ExecDriver: cfg.ExecDriver, ExecOpts: cfg.ExecOpts, Runtimes: cfg.Runtimes, DefaultRuntime: cfg.DefaultRuntime,
		LogDriver: cfg.LogDriver, LogOpts: cfg.LogOpts,
		UsernsRemap:  cfg.UsernsRemap,
		CgroupParent: cfg.CgroupParent, DefaultShmSizeBytes: int64(cfg.DefaultShmSize),
		DefaultStopTimeout: time.Duration(cfg.DefaultStopTimeoutSeconds) * time.Second,
		Isolation:          cfg.Isolation.Isolation, Limits: cfg.Limits.Limits, Network: cfg.Network.NetworkConfig, Registries: cfg.Registries.Registries, GC: &cfg.GC.GC,
		ShutdownTimeout: time.Duration(cfg.ShutdownTimeoutSeconds) * time.Second,
		Labels:          cfg.Labels, LiveRestore: cfg.LiveRestore, MinAPIVersion: cfg.MinAPIVersion,
		Debug: cfg.Debug, Log: log,
	}
}

// serve is what the job serveapi is told.
func (cfg *Config) serve() jobs.ServeAPIIn {
	return jobs.ServeAPIIn{
		Addresses: cfg.Hosts, SocketGroup: cfg.SocketGroup,
		TLS: cfg.TLS, TLSVerify: cfg.TLSVerify,
		TLSCA: cfg.TLSCACert, TLSCert: cfg.TLSCert, TLSKey: cfg.TLSKey,
		AllowPlain: cfg.plainTCP,
	}
}

func pairs(options []string) map[string]string {
	m := make(map[string]string, len(options))
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		m[key] = value
	}
	return m
}
