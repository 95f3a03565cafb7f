package show

import (
	"fmt"
	"slices"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"github.com/jobengine/engine/containers/state"
)

// Image is what lists know of one.
type Image struct {
	ID     string // "sha256:…"
	Config dockerspec.DockerOCIImage
}

// Images tells by which name ps shows a container's image, and asks for each name once.
type Images struct {
	Lookup func(ref string) (Image, error) // by name or id

	ids map[string]string
}

// Shown is the name that the container was created with, or the image's id once
// the name stands for another image.
func (n *Images) Shown(s *state.Snapshot) string {
	if s.Config.Image == "" || s.Config.Image == s.ImageID || n.id(s.Config.Image) == s.ImageID {
		return s.Config.Image
	}
	return s.ImageID
}

// id is the id of the image that a name stands for now, "" for none.
func (n *Images) id(name string) string {
	id, ok := n.ids[name]
	if !ok {
		if img, err := n.Lookup(name); err == nil {
			id = img.ID
		}
		if n.ids == nil {
			n.ids = make(map[string]string)
		}
		n.ids[name] = id
	}
	return id
}

// descendants tells whether an image is one of those named, or was made from
// one: then the layers and the history of that one are the beginning of its own.
func (n *Images) descendants(refs []string) func(imageID string) bool {
	var wanted []Image
	for _, ref := range refs {
		if img, err := n.Lookup(ref); err == nil {
			wanted = append(wanted, img)
		}
	}
	known := make(map[string]bool)
	return func(id string) bool {
		yes, ok := known[id]
		if !ok {
			img, err := n.Lookup(id)
			yes = slices.ContainsFunc(wanted, func(w Image) bool { return w.ID == id || (err == nil && madeFrom(img, w)) })
			known[id] = yes
		}
		return yes
	}
}

func madeFrom(img, base Image) bool {
	layers, baseLayers := img.Config.RootFS.DiffIDs, base.Config.RootFS.DiffIDs
	steps, baseSteps := img.Config.History, base.Config.History
	if len(layers) < len(baseLayers) || len(steps) < len(baseSteps) || len(baseLayers) == 0 ||
		len(layers)+len(steps) == len(baseLayers)+len(baseSteps) {
		return false
	}
	for i := range baseSteps {
		if fmt.Sprint(steps[i].Created, steps[i].CreatedBy) != fmt.Sprint(baseSteps[i].Created, baseSteps[i].CreatedBy) {
			return false
		}
	}
	return slices.Equal(layers[:len(baseLayers)], baseLayers)
}
