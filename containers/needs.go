package containers

import (
	"context"
	"io"
	"net/netip"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/containers/runtime"
)

// What this package needs from others. builtins connects them.

// Images is what containers are made of.
type Images interface {
	// Lookup finds an image by reference, id or unique prefix of an id.
	// The class not found has docker's text "No such image: X:latest".
	Lookup(ctx context.Context, ref, platform string) (Image, error)
	// Parent gives the graph layer on which containers of an image are put,
	// made if need be.
	Parent(ctx context.Context, imageID string) (layer string, err error)
	// Commit makes an image of the image that a container stands on and the tar
	// of its changes. It is durable when it is told. name is the image's, as
	// people write it, "" for none.
	Commit(ctx context.Context, c CommitSpec, changes io.Reader) (id, name string, err error)
}

// CommitSpec says what becomes of a container's changes.
type CommitSpec struct {
	ImageID    string            // that the container stands on
	Container  *container.Config // its configuration
	Config     *container.Config // in place of that; nil for none
	Changes    []string          // Dockerfile lines
	Author     string
	Comment    string
	Repository string // "" for no name
	Tag        string
}

// Image is an image as a container sees it. It is not changed.
type Image struct {
	ID        string // "sha256:…"
	SizeBytes int64  // of all its files, for inspect --size
	Config    dockerspec.DockerOCIImage
	Warning   string // for the answer of create: a platform that is not the host's
}

// Events is told what happens.
type Events interface {
	Log(typ events.Type, action events.Action, id string, attributes map[string]string)
}

// Networks connects containers.
//
// Allocate → Join → Release, once for each run; Connect and Disconnect in between.
type Networks interface {
	// Allocate reserves what a container that is about to start wants. An error leaves nothing.
	Allocate(ctx context.Context, r NetworkRequest) error
	// Join connects the network namespace of its first process.
	Join(ctx context.Context, container string, pid int, startTime uint64) error
	// Release takes it from all networks. What is not there is no error.
	Release(ctx context.Context, container string) error
	Connect(ctx context.Context, container, network string, config *network.EndpointSettings, hostname string) error
	Disconnect(ctx context.Context, container, network string) error
	// Rename gives a container another name on its networks. One that is on none is no error.
	Rename(ctx context.Context, container, name string) error
	// SetLinks says which containers one is linked to from now on, by their ids. One that does not run is no error.
	SetLinks(ctx context.Context, container string, to []string) error
	// HostGateway gives the addresses at which a container finds the host.
	HostGateway(container string) ([]netip.Addr, error)
	// Settings gives the networks, by name, and ports of a container between Allocate and Release; else nil.
	Settings(container string) (map[string]*network.EndpointSettings, network.PortMap)
	// Interfaces names those that a running container has of its networks, as they are called inside.
	Interfaces(container string) []string
	// Resolve gives a network's name and id.
	Resolve(ref string) (name, id string, err error)
}

// NetworkRequest is what a container wants of networks.
type NetworkRequest struct {
	Container, Name, Hostname string
	Mode                      string                               // a network's name or id, "default", "none", "host"
	Endpoints                 map[string]*network.EndpointSettings // by network, as the container is configured
	Exposed                   network.PortSet
	Bindings                  network.PortMap
	PublishAll                bool
	Servers                   []netip.Addr // asked for names that no network knows; nil: the daemon's
	Links                     []string     // ids of containers, whose exposed ports it reaches
}

// Runtime runs processes; package runtime says what is asked of it. Its words
// are containers' own too.
type (
	Runtime      = runtime.Runtime
	RunSpec      = runtime.RunSpec
	LogSpec      = runtime.LogSpec
	Process      = runtime.Process
	Exit         = runtime.Exit
	RuntimeState = runtime.State
	Stream       = runtime.Stream
	Output       = runtime.Output
	Commit       = runtime.Commit
	ExecStreams  = runtime.ExecStreams
)

// The streams of an Output.
const (
	Stdout = runtime.Stdout
	Stderr = runtime.Stderr
)

// The errors of a Runtime that are told apart.
var (
	ErrNoProgram     = runtime.ErrNoProgram
	ErrNotExecutable = runtime.ErrNotExecutable
	ErrNotRunning    = runtime.ErrNotRunning
	ErrAbsent        = runtime.ErrAbsent
	ErrUnsupported   = runtime.ErrUnsupported
	ErrLagged        = runtime.ErrLagged
)
