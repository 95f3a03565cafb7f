package containers

import (
	"maps"

	"github.com/moby/moby/api/types/events"
)

// event tells what happened to a container, with docker's attributes: its
// labels, image and name, and those of the action as key, value, ….
func (c *Containers) event(s *Snapshot, action events.Action, pairs ...string) {
	attrs := make(map[string]string, len(s.Config.Labels)+2+len(pairs)/2)
	maps.Copy(attrs, s.Config.Labels)
	if s.Config.Image != "" {
		attrs["image"] = s.Config.Image
	}
	attrs["name"] = s.Name
	for i := 0; i+1 < len(pairs); i += 2 {
		attrs[pairs[i]] = pairs[i+1]
	}
	c.events.Log(events.ContainerEventType, action, s.ID, attrs)
}
