package jobs

import (
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/system"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/filters"
)

// The jobs about the engine as a whole.
var (
	Version = engine.Define[VersionIn, VersionOut]("version", engine.Quiet)
	Info    = engine.Define[InfoIn, InfoOut]("info", engine.Quiet)
	Events  = engine.DefineStream[EventsIn, EventsOpen, EventsOut]("events", engine.Endless)
	Log     = engine.Define[LogIn, LogOut]("log", engine.Quiet)

	ServeAPI          = engine.Define[ServeAPIIn, ServeAPIOut]("serveapi", engine.Endless)
	AcceptConnections = engine.Define[AcceptConnectionsIn, AcceptConnectionsOut]("acceptconnections")
)

// VersionIn is empty.
type VersionIn struct{}

// VersionOut names the program, its parts and the API versions.
type VersionOut struct{ system.VersionResponse }

// InfoIn is empty.
type InfoIn struct{}

// InfoOut is the state of the engine and what the host can do.
type InfoOut struct{ system.Info }

// EventsIn selects events. A zero Since starts now, a zero Until never ends.
type EventsIn struct {
	Since   time.Time
	Until   time.Time
	Filters filters.Args
}

// EventsOpen says that events are subscribed to: none after this is missed.
// They are on Stdout, one JSON object (events.Message) a line.
type EventsOpen struct{}

// EventsOut is empty.
type EventsOut struct{}

// LogIn publishes an event.
type LogIn struct {
	Type       events.Type   `job:"arg"`
	Action     events.Action `job:"arg"`
	ActorID    string        `job:"arg"`
	Attributes map[string]string
}

// LogOut is empty.
type LogOut struct{}

// ServeAPIIn lists where to listen: unix://PATH, tcp://HOST:PORT, fd://NAME.
// The sockets are bound at once and answered after acceptconnections.
type ServeAPIIn struct {
	Addresses   []string `job:"arg"`
	SocketGroup string
	TLS         bool // speak TLS on TCP sockets
	TLSVerify   bool // and accept only clients whose certificate TLSCA has signed
	TLSCA       string
	TLSCert     string
	TLSKey      string
	AllowPlain  bool // TCP beyond loopback without TLS was asked for outright
}

// ServeAPIOut is empty.
type ServeAPIOut struct{}

// AcceptConnectionsIn is empty.
type AcceptConnectionsIn struct{}

// AcceptConnectionsOut is empty.
type AcceptConnectionsOut struct{}
