package events

import (
	"slices"
	"strings"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/internal/filters"
)

// accepted are the keys that events can be filtered by. Those of a cluster's
// objects are taken, and nothing here matches them.
var accepted = []string{
	"type", "event", "label", "scope", "image",
	"container", "network", "volume", "plugin", "daemon",
	"node", "service", "secret", "config",
}

// named are the keys that want an object by a prefix of its id or name.
var named = []string{"container", "network", "volume", "plugin", "daemon", "node", "service", "secret", "config"}

// openEnded are actions that have a detail behind a colon. Once one of them is
// among the values of "event", all of those match by prefix.
var openEnded = []string{
	string(events.ActionExecCreate), string(events.ActionExecStart), string(events.ActionHealthStatus),
}

// matcher makes a predicate of filters that have passed Check.
func matcher(f filters.Args) func(*events.Message) bool {
	if len(f) == 0 {
		return func(*events.Message) bool { return true }
	}
	prefixed := slices.ContainsFunc(f["event"], func(v string) bool { return slices.Contains(openEnded, v) })
	return func(m *events.Message) bool {
		return f.Exact("type", string(m.Type)) &&
			matchAction(f, prefixed, string(m.Action)) &&
			prefix(f, "scope", m.Scope) &&
			matchNamed(f, m) &&
			matchImage(f, m) &&
			f.Labels("label", m.Actor.Attributes)
	}
}

func matchAction(f filters.Args, prefixed bool, action string) bool {
	if prefixed {
		return prefix(f, "event", action)
	}
	return f.Exact("event", action)
}

func prefix(f filters.Args, key, value string) bool {
	return f.Any(key, func(want string) bool { return strings.HasPrefix(value, want) })
}

func matchNamed(f filters.Args, m *events.Message) bool {
	for _, key := range named {
		if !prefix(f, key, m.Actor.ID) && !prefix(f, key, m.Actor.Attributes["name"]) {
			return false
		}
	}
	return true
}

// matchImage compares with an image's id and name, or with the name of the
// image that a container is made of, with and without the tag.
func matchImage(f filters.Args, m *events.Message) bool {
	if !f.Has("image") {
		return true
	}
	name := m.Actor.Attributes["image"]
	if m.Type == events.ImageEventType {
		name = m.Actor.Attributes["name"]
	}
	return f.Exact("image", m.Actor.ID) || f.Exact("image", name) ||
		f.Exact("image", withoutTag(m.Actor.ID)) || f.Exact("image", withoutTag(name))
}

// withoutTag cuts the tag or digest off a reference.
func withoutTag(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i]
	}
	return ref
}
