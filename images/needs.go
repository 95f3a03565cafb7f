package images

import (
	"time"

	"github.com/moby/moby/api/types/events"
)

// What this package needs from others. builtins connects them.

// Events is told what happens.
type Events interface {
	Log(typ events.Type, action events.Action, id string, attributes map[string]string)
}

// Containers knows who stands on an image. A container must be among the users
// of its image before it asks for the image's Parent, and until its layer is
// gone.
type Containers interface {
	// UsingImage lists the containers of an image, "sha256:…".
	UsingImage(imageID string) []Use
}

// Use is a container that was made from an image.
type Use struct {
	ID      string
	Name    string
	Running bool
}

// Clock tells the time.
type Clock interface{ Now() time.Time }

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }
