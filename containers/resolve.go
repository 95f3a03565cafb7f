package containers

import "sort"

// find resolves what a user typed to a container: full id, then name with or
// without its slash, then unique prefix of an id. None is the class not found,
// several are the class invalid.
// A link of another one, OWNER/ALIAS, is a name too.
func (c *Containers) find(ref string) (*Container, error) {
	ct, err := c.index.find(ref)
	if err != nil {
		if _, l, ok := c.findLink(ref); ok {
			if linked, there := c.index.get(l.id); there {
				return linked, nil
			}
		}
	}
	return ct, err
}

// List is a snapshot of every container, newest first. It waits for nothing.
func (c *Containers) List() []*Snapshot {
	all := c.index.all()
	list := make([]*Snapshot, len(all))
	for i, ct := range all {
		list[i] = ct.Snapshot()
	}
	sort.Slice(list, func(i, j int) bool {
		if !list[i].Created.Equal(list[j].Created) {
			return list[i].Created.After(list[j].Created)
		}
		return list[i].ID < list[j].ID
	})
	return list
}

// Use is a container that stands on an image.
type Use struct {
	ID, Name string
	Running  bool
}

// UsingImage lists the containers that stand on an image, those included that
// are just being made.
func (c *Containers) UsingImage(imageID string) []Use {
	var uses []Use
	for _, s := range c.List() {
		if s.ImageID == imageID && !s.State.Removed {
			uses = append(uses, Use{s.ID, s.Name, s.State.Running})
		}
	}
	return append(uses, c.index.makingOf(imageID)...)
}

func (x *index) makingOf(imageID string) []Use {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var uses []Use
	for id, m := range x.making {
		if m.imageID == imageID {
			uses = append(uses, Use{id, m.name, false})
		}
	}
	return uses
}

// Counts is how many containers there are in which state.
type Counts struct{ Running, Paused, Stopped int }

// Count counts the containers for `info`.
func (c *Containers) Count() Counts {
	var n Counts
	for _, ct := range c.index.all() {
		switch s := ct.Snapshot().State; {
		case s.Running && s.Paused:
			n.Paused++
		case s.Running:
			n.Running++
		default:
			n.Stopped++
		}
	}
	return n
}
