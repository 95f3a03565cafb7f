package networks

import "github.com/moby/moby/api/types/events"

// What this package needs from others. builtins connects them.

// Events is told what happens.
type Events interface {
	Log(typ events.Type, action events.Action, id string, attributes map[string]string)
}
