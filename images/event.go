package images

import (
	"maps"

	"github.com/moby/moby/api/types/events"

	"github.com/jobengine/engine/images/store"
)

// tell publishes an event of an image. Its attributes are the image's labels,
// if it is still known, and the name that the event is about.
func (i *Images) tell(action events.Action, id string, img *store.Image, name string) {
	i.Events.Log(events.ImageEventType, action, id, eventAttributes(img, name))
}

func eventAttributes(img *store.Image, name string) map[string]string {
	attributes := map[string]string{}
	if img != nil {
		maps.Copy(attributes, img.Config.Config.Labels)
	}
	attributes["name"] = name
	return attributes
}
