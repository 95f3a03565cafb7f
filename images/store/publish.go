package store

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/failpoint"
)

// NewImage is an image that is about to be published.
type NewImage struct {
	Config     []byte // as it came: its digest is the id
	Names      []string
	Parent     digest.Digest
	Beside     digest.Digest // the image that this one is for another platform; "" for none
	LastTagged time.Time     // zero leaves it as it is
	Origin     *Origin       // nil for one that no registry has
}

// Published is what Publish did.
type Published struct {
	Image *Image
	// Moved tells for each of the names who had it before, where it was another image.
	Moved map[string]digest.Digest
	// Existed says that the image was there already, and got names at most.
	Existed bool
}

// Publish lists an image whose layers the lease has. When it returns nil, the
// image and its names are durable. The lease is still to be released.
func (s *Store) Publish(n NewImage, lease *Lease) (Published, error) {
	img, err := ParseConfig(n.Config)
	if err != nil {
		return Published{}, err
	}
	if !slices.Equal(img.Chain, lease.chain) {
		return Published{}, errs.Invalid("image %s has other layers than those that were unpacked", img.ID)
	}
	s.write.Lock()
	defer s.write.Unlock()

	s.mu.Lock()
	have := s.images[img.ID]
	seq := s.lastSeq
	for _, chain := range img.Chain {
		img.SizeBytes += s.layers[chain].rec.SizeBytes
	}
	s.mu.Unlock()

	out := Published{Moved: map[string]digest.Digest{}}
	switch {
	case have != nil && have.Damage == nil:
		out.Existed = true
		img = have.clone()
	case have != nil: // damaged: this one takes its place and its names
		img.Parent, img.Beside, img.LastTagged, img.names = have.Parent, have.Beside, have.LastTagged, maps.Clone(have.names)
	}
	if n.Parent != "" {
		img.Parent = n.Parent
	}
	moreBeside := n.Beside != "" && !slices.Contains(img.Beside, n.Beside)
	if moreBeside {
		img.Beside = append(slices.Clone(img.Beside), n.Beside)
	}
	if !n.LastTagged.IsZero() {
		img.LastTagged = n.LastTagged
	}
	seq = img.addNames(n.Names, seq)

	if out.Existed {
		if len(n.Names) > 0 || img.Parent != have.Parent || moreBeside {
			err = s.writeImageRecord(img, durable.WriteJSON)
		}
	} else {
		dir := s.imageDir(img.ID)
		files := map[string]any{"config.json": json.RawMessage(n.Config), "image.json": img.record()}
		if n.Origin != nil {
			files[originsFile] = originsRecord{Version: formatVersion, Origins: []Origin{*n.Origin}}
		}
		if err = durable.RemoveTree(s.FS, dir); err == nil {
			err = s.publishDir(dir, files)
		}
	}
	if err != nil {
		return Published{}, err
	}
	if out.Existed && n.Origin != nil {
		s.addOrigin(img.ID, *n.Origin)
	}
	_ = failpoint.Hit(failpoint.ImageRecord) // what is written down has happened: it can't fail any more
	s.adopt(img, have, seq, out.Moved)
	out.Image = img
	return out, nil
}

// SetName gives an image a name, taking it from whoever has it: moved is that
// one's id, "" for none.
func (s *Store) SetName(id digest.Digest, name string, tagged time.Time) (moved digest.Digest, err error) {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	have, seq := s.images[id], s.lastSeq
	s.mu.Unlock()
	if have == nil {
		return "", errs.NotFound("No such image: %s", id)
	}
	img := have.clone()
	seq = img.addNames([]string{name}, seq)
	img.LastTagged = tagged
	if err := s.writeImageRecord(img, durable.WriteJSON); err != nil {
		return "", err
	}
	_ = failpoint.Hit(failpoint.NameRecord)
	old := map[string]digest.Digest{}
	s.adopt(img, have, seq, old)
	return old[name], nil
}

// RemoveNames takes names away from an image, which stays, also without any.
// ErrChanged if img is not from the newest snapshot that has it.
func (s *Store) RemoveNames(have *Image, names ...string) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.Snapshot().ByID(have.ID) != have {
		return ErrChanged
	}
	if err := s.rewriteStale(); err != nil { // or a name would be back after a restart
		return err
	}
	img := have.clone()
	for _, name := range names {
		delete(img.names, name)
	}
	img.sortNames()
	if err := s.writeImageRecord(img, durable.RewriteJSON); err != nil { // it frees space, also where there is none
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images[img.ID] = img
	s.changed()
	return nil
}

// adopt makes a changed or new image, whose record is on disk, the one that is
// listed, and takes its names away from others. s.write is held.
func (s *Store) adopt(img, before *Image, seq uint64, moved map[string]digest.Digest) {
	s.mu.Lock()
	var losers []*Image
	for _, name := range img.Names {
		owner := s.snapshot.Load().ByName(name)
		if owner == nil || owner.ID == img.ID {
			continue
		}
		moved[name] = owner.ID
		loser := s.images[owner.ID].clone()
		delete(loser.names, name)
		loser.sortNames()
		s.images[loser.ID] = loser
		losers = append(losers, loser)
	}
	s.images[img.ID] = img
	s.lastSeq = seq
	for _, loser := range losers {
		s.stale[loser.ID] = true
	}
	switch {
	case before == nil:
		s.count(img, +1)
	case before.Damage != nil:
		s.recount()
	}
	s.heal()
	s.changed()
	s.mu.Unlock()

	// The losers' records may wait: the higher number counts.
	if err := s.rewriteStale(); err != nil {
		s.warn("images: a name that moved is still in the record of its former image: %v", err)
	}
}

// heal clears the damage of images whose layers are all there again; s.mu is held.
func (s *Store) heal() {
	for id, img := range s.images {
		if img.Damage == nil || !img.layers {
			continue
		}
		well := img.clone()
		well.Damage, well.layers, well.SizeBytes = nil, false, 0
		for _, chain := range img.Chain {
			l := s.layers[chain]
			if l == nil || l.damage != nil {
				well = nil
				break
			}
			well.SizeBytes += l.rec.SizeBytes
		}
		if well != nil {
			s.images[id] = well
			s.recount()
		}
	}
}

// count adds to the number of images that have each layer; s.mu is held.
func (s *Store) count(img *Image, n int) {
	for _, chain := range img.Chain {
		if l := s.layers[chain]; l != nil {
			l.images += n
		}
	}
}

// recount counts anew: a damaged image may have been counted when some of its
// layers were not there. s.mu is held.
func (s *Store) recount() {
	for _, l := range s.layers {
		l.images = 0
	}
	for _, img := range s.images {
		s.count(img, +1)
	}
}

// rewriteStale writes the records of images that lost a name; s.write is held.
func (s *Store) rewriteStale() error {
	s.mu.Lock()
	ids := slices.Sorted(maps.Keys(s.stale))
	s.mu.Unlock()
	for _, id := range ids {
		s.mu.Lock()
		img := s.images[id]
		s.mu.Unlock()
		if img != nil {
			if err := s.writeImageRecord(img, durable.RewriteJSON); err != nil {
				return err
			}
		}
		s.mu.Lock()
		delete(s.stale, id)
		s.mu.Unlock()
	}
	return nil
}

func (s *Store) writeImageRecord(img *Image, put func(durable.FS, string, any, fs.FileMode) error) error {
	path := filepath.Join(s.imageDir(img.ID), "image.json")
	if st, err := s.FS.Lstat(path); err == nil && st.IsDir() { // somebody's damage: nothing else would replace it
		if err := s.FS.RemoveAll(path); err != nil {
			return err
		}
	}
	return put(s.FS, path, img.record(), 0o600)
}

// moved is the path of a synced file that becomes part of a folder.
type moved string

// publishDir makes a folder with the files in it, whole or not at all. A
// json.RawMessage is written byte by byte.
func (s *Store) publishDir(dir string, files map[string]any) (err error) {
	temp := durable.TempName(filepath.Dir(dir))
	if err := s.FS.Mkdir(temp, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = s.FS.RemoveAll(temp) // else Open does
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path, ok := files[name].(moved); ok {
			if err := s.FS.Rename(string(path), filepath.Join(temp, name)); err != nil {
				return err
			}
			continue
		}
		data, raw := files[name].(json.RawMessage)
		if !raw {
			var buf bytes.Buffer
			enc := json.NewEncoder(&buf)
			enc.SetIndent("", "\t")
			if err := enc.Encode(files[name]); err != nil {
				return err
			}
			data = buf.Bytes()
		}
		if err := durable.WriteNew(s.FS, filepath.Join(temp, name), data, 0o600); err != nil {
			return err
		}
	}
	if err := s.FS.SyncDir(temp); err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.LayerFolder); err != nil {
		return err
	}
	if err := durable.Publish(s.FS, temp, dir); err != nil {
		// It may have its name already, but nobody can be told so.
		_ = durable.RemoveTreeUnsynced(s.FS, dir)
		return err
	}
	return nil
}

func (img *Image) clone() *Image {
	c := *img
	c.names = maps.Clone(img.names)
	return &c
}

func (img *Image) record() imageRecord {
	rec := imageRecord{
		Version: formatVersion, Parent: img.Parent, Beside: img.Beside, LastTagged: img.LastTagged,
		Layers: img.Chain, Names: []nameRecord{},
	}
	for _, name := range img.Names {
		rec.Names = append(rec.Names, nameRecord{name, img.names[name]})
	}
	return rec
}

// addNames adds those that are new, with sequence numbers above seq, and gives the last number.
func (img *Image) addNames(names []string, seq uint64) uint64 {
	if img.names == nil {
		img.names = map[string]uint64{}
	}
	for _, name := range names {
		seq++
		img.names[name] = seq
	}
	img.sortNames()
	return seq
}
