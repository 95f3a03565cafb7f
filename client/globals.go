package client

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jobengine/engine/client/api"
	"github.com/jobengine/engine/client/config"
	"github.com/jobengine/engine/client/runconfig"
	"github.com/jobengine/engine/internal/version"
	"github.com/spf13/pflag"
)

// globals are the flags before the command.
type globals struct {
	config, context, logLevel string
	hosts                     []string
	debug, version            bool
	tls, tlsVerify            bool
	ca, cert, key             string
	flags                     *pflag.FlagSet
}

func (g *globals) declare(f *pflag.FlagSet) {
	dir := config.Dir()
	certs := dir
	if d := config.Env("CERT_PATH"); d != "" {
		certs = d
	}
	f.StringVar(&g.config, "config", dir, "Location of client config files")
	f.StringVarP(&g.context, "context", "c", "", `Name of the context to use to connect to the daemon (overrides ENGINE_HOST and DOCKER_HOST env vars and default context set with "docker context use")`)
	f.BoolVarP(&g.debug, "debug", "D", false, "Enable debug mode")
	f.VarP(runconfig.List(&g.hosts), "host", "H", "Daemon socket to connect to")
	f.StringVarP(&g.logLevel, "log-level", "l", "info", `Set the logging level ("debug", "info", "warn", "error", "fatal")`)
	f.BoolVar(&g.tls, "tls", config.Env("TLS") != "", "Use TLS; implied by --tlsverify")
	f.StringVar(&g.ca, "tlscacert", filepath.Join(certs, "ca.pem"), "Trust certs signed only by this CA")
	f.StringVar(&g.cert, "tlscert", filepath.Join(certs, "cert.pem"), "Path to TLS certificate file")
	f.StringVar(&g.key, "tlskey", filepath.Join(certs, "key.pem"), "Path to TLS key file")
	f.BoolVar(&g.tlsVerify, "tlsverify", config.Env("TLS_VERIFY") != "", "Use TLS and verify the remote")
	f.BoolVarP(&g.version, "version", "v", false, "Print version information and quit")
	f.BoolP("help", "h", false, "Print usage")
	f.MarkShorthandDeprecated("help", "use --help")
}

// parseGlobals reads the flags before the command and returns the rest.
func (c *CLI) parseGlobals(args []string) ([]string, error) {
	f := pflag.NewFlagSet("engine", pflag.ContinueOnError)
	f.SetInterspersed(false)
	f.SetOutput(c.Err)
	f.Usage = func() {}
	g := &c.globals
	g.flags = f
	g.declare(f)
	if err := f.Parse(args); err != nil {
		return nil, &StatusError{Code: 125, Text: fmt.Sprintf("%s\n\nUsage:  engine [OPTIONS] COMMAND [ARG...]\n\nRun 'engine --help' for more information", err)}
	}
	switch g.logLevel {
	case "debug", "info", "warn", "warning", "error", "fatal", "panic", "trace":
	default:
		return nil, fmt.Errorf("Unable to parse logging level: %s", g.logLevel)
	}
	if f.Changed("context") && len(g.hosts) > 0 {
		return nil, errors.New("conflicting options: cannot specify both --host and --context")
	}
	if help, _ := f.GetBool("help"); help {
		return append([]string{"help"}, f.Args()...), nil
	}
	return f.Args(), nil
}

// Config is the user's config.json. One that cannot be read is an empty one,
// with a warning.
func (c *CLI) Config() *config.File { return c.config() }

func (c *CLI) loadConfig() *config.File {
	file, err := config.Load(c.globals.config)
	if err != nil {
		fmt.Fprintf(c.Err, "WARNING: Error loading config file: %v\n", err)
	}
	return file
}

// Connect makes the API client that flags, environment and contexts describe.
// It does not reach out yet.
func (c *CLI) Connect() (*api.Client, error) { return c.connected() }

func (c *CLI) connect() (*api.Client, error) {
	endpoint, err := c.endpoint()
	if err != nil {
		return nil, fmt.Errorf("Failed to initialize: unable to resolve docker endpoint: %w", err)
	}
	opts := []api.Option{
		api.WithHeader(c.Config().HTTPHeaders),
		api.WithUserAgent("Engine-Client/" + version.Version + " (linux)"),
	}
	if v := config.Env("API_VERSION"); v != "" {
		opts = append(opts, api.WithVersion(v))
	}
	return api.New(endpoint, opts...)
}

// contextName follows docker's order: --context, --host, the environment's
// host, the environment's context, the config file.
func (c *CLI) contextName() string {
	switch {
	case c.globals.context != "":
		return c.globals.context
	case len(c.globals.hosts) > 0, config.Env("HOST") != "":
		return config.DefaultContext
	}
	if name := config.Env("CONTEXT"); name != "" {
		return name
	}
	if name := c.Config().CurrentContext; name != "" {
		return name
	}
	return config.DefaultContext
}

func (c *CLI) endpoint() (api.Endpoint, error) {
	g := &c.globals
	if name := c.contextName(); name != config.DefaultContext {
		found, err := config.FindContext(g.config, name)
		if err != nil {
			return api.Endpoint{}, err
		}
		host, err := api.ParseHost(found.Host, found.TLS != nil)
		return api.Endpoint{Host: host, TLS: found.TLS}, err
	}
	if len(g.hosts) > 1 {
		return api.Endpoint{}, errors.New("Specify only one -H")
	}
	host := config.Env("HOST")
	if len(g.hosts) == 1 {
		host = g.hosts[0]
	}
	// --tlsverify given at all, even as false, turns TLS on.
	useTLS := g.tls || g.tlsVerify || g.flags.Changed("tlsverify")
	endpoint := api.Endpoint{}
	var err error
	if endpoint.Host, err = api.ParseHost(host, useTLS); err != nil {
		return endpoint, err
	}
	if useTLS {
		settings, err := config.TLS(g.tlsVerify, g.ca, g.cert, g.key)
		if err != nil {
			return endpoint, err
		}
		if strings.HasPrefix(endpoint.Host, "tcp://") {
			endpoint.TLS = settings
		}
	}
	return endpoint, nil
}

// API is the client for the daemon that flags, environment and contexts name.
// Where those are wrong, every request fails with the reason.
func (c *Cmd) API() *api.Client {
	client, err := c.Connect()
	if err != nil {
		return api.Broken(err)
	}
	return client
}

func (c *CLI) printShortVersion() {
	fmt.Fprintf(c.Out, "Engine version %s, build %s\n", version.Version, version.GitCommit)
}
