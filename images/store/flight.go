package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
)

// Source is a layer that an image needs.
type Source struct {
	DiffID digest.Digest
	// Open gives the layer's tar, compressed or not. It is called only if the
	// layer is not there yet, perhaps more than once, and perhaps for several
	// layers at the same time.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Done, if not nil, is called at most once, when the layer is unpacked and
	// Open will not be called any more: what it reads from need not be kept,
	// nor be written to the disk along with the layer. Perhaps for several
	// layers at the same time.
	Done func()
	// Landed, if not nil, is called when the layer is published, in order from
	// the bottom; it may be called again if Unpack has to begin anew.
	Landed func()
}

// Lease keeps layers from being removed until an image has them.
type Lease struct {
	store *Store
	chain []digest.Digest
	once  sync.Once
}

// Release gives the layers up: those that no image has are removed.
func (l *Lease) Release() {
	l.once.Do(func() { l.store.release(l.chain) })
}

// flight is a layer that is being unpacked. Others who need the same layer wait
// for it; they may already put layers of their own on it.
type flight struct {
	chain   digest.Digest
	diffID  digest.Digest
	graphID string
	parent  *flight       // nil: the parent is published, or there is none
	created chan struct{} // closed when the driver has the empty layer, or on failure
	done    chan struct{} // closed when it is published or has failed
	err     error         // valid once done (or, on failure, created) is closed
	size    int64
	kept    *kept // the form of its tar, until it is published
	users   int   // the owner and the flights above; guarded by Store.mu
}

// errOther says that a layer failed that somebody else was unpacking: the cause
// (a client that went away) need not be ours.
var errOther = errors.New("another load of the same layer failed")

// Unpack makes sure that the layers, given from the bottom, are there, and
// keeps them until the lease is released. What several callers need is unpacked
// once. After an error nothing is left that was not there before.
func (s *Store) Unpack(ctx context.Context, sources []Source) (*Lease, error) {
	for {
		lease, err := s.unpack(ctx, sources)
		if err == nil || !errors.Is(err, errOther) || ctx.Err() != nil {
			return lease, err
		}
		// The other one's flight has left the table, so each round has one
		// opponent fewer.
	}
}

// step is a layer in the plan of one Unpack.
type step struct {
	source Source
	index  int // of the layer, from the bottom
	chain  digest.Digest
	have   bool          // it is published, and now leased
	bare   bool          // without the form of its tar
	flight *flight       // otherwise
	mine   bool          // this Unpack is to fill it
	once   bool          // and will not have to begin again
	below  string        // graph id of the layer below
	parent digest.Digest // its chain id
}

func (s *Store) unpack(ctx context.Context, sources []Source) (lease *Lease, err error) {
	diffIDs := make([]digest.Digest, len(sources))
	for i, src := range sources {
		diffIDs[i] = src.DiffID
	}
	chain := ChainIDs(diffIDs)
	steps := s.plan(sources, chain)

	lease = &Lease{store: s}
	defer func() {
		for _, st := range steps {
			if st.mine {
				s.fail(st.flight, err) // does nothing for those that are published
			}
		}
		if err != nil {
			lease.Release()
			lease = nil
		}
	}()
	for i, st := range steps {
		if st.have {
			lease.chain = append(lease.chain, chain[i])
		}
	}
	if err := s.createAll(ctx, steps); err != nil {
		return lease, err
	}
	if s.independent {
		if err := s.fillAll(ctx, steps); err != nil {
			return lease, err
		}
	}
	for _, st := range steps {
		if st.have && st.bare {
			s.learn(ctx, st)
		}
		if err := s.land(ctx, st); err != nil {
			return lease, err
		}
		if !st.have {
			lease.chain = append(lease.chain, st.chain)
		}
		if st.source.Landed != nil {
			st.source.Landed()
		}
	}
	return lease, nil
}

// plan finds out what is there, what others are unpacking, and what is to do;
// from now on it is this Unpack that does it.
func (s *Store) plan(sources []Source, chain []digest.Digest) []*step {
	s.mu.Lock()
	defer s.mu.Unlock()
	steps := make([]*step, len(sources))
	var below string
	var parent *flight
	for i, src := range sources {
		st := &step{source: src, index: i, chain: chain[i], below: below}
		if i > 0 {
			st.parent = chain[i-1]
		}
		steps[i] = st
		if l := s.layers[chain[i]]; l != nil && l.damage == nil {
			l.leases++
			st.have, st.bare = true, l.rec.Tar == ""
			below, parent = l.rec.GraphID, nil
			continue
		}
		fl := s.flights[chain[i]]
		if fl == nil {
			fl = &flight{
				chain: chain[i], diffID: src.DiffID, parent: parent, users: 1,
				graphID: s.newGraphID(layerPrefix, chain[i]),
				created: make(chan struct{}), done: make(chan struct{}),
			}
			if parent != nil {
				parent.users++
			}
			s.flights[chain[i]] = fl
			st.mine = true
		}
		st.flight = fl
		below, parent = fl.graphID, fl
	}
	// Only the failure of somebody else makes an Unpack begin again.
	once := !slices.ContainsFunc(steps, func(st *step) bool { return st.flight != nil && !st.mine })
	for _, st := range steps {
		st.once = once
	}
	return steps
}

// createAll makes the empty layers from the bottom.
func (s *Store) createAll(ctx context.Context, steps []*step) error {
	for _, st := range steps {
		if !st.mine {
			continue
		}
		if p := st.flight.parent; p != nil {
			select {
			case <-p.created:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := s.failed(p); err != nil {
				return fmt.Errorf("%w: %w", errOther, err)
			}
		}
		if err := s.Graph.Create(ctx, st.flight.graphID, st.below); err != nil {
			return err
		}
		close(st.flight.created)
	}
	return nil
}

// fillAll fills the layers in any order, several at a time, and makes them durable.
func (s *Store) fillAll(ctx context.Context, steps []*step) error {
	fills, ctx := errgroup.WithContext(ctx)
	fills.SetLimit(s.Parallel)
	var syncs errgroup.Group
	early := func(st *step) bool { return st.source.Done == nil }
	for _, st := range steps {
		if !st.mine {
			continue
		}
		fills.Go(func() error {
			if err := s.fill(ctx, st); err != nil {
				return err
			}
			if early(st) { // the disk has something to do while the next ones are unpacked
				syncs.Go(func() error { return s.sync(ctx, st.flight) })
			}
			return nil
		})
	}
	err := fills.Wait()
	if err == nil {
		// What the others are read from is gone only now, and need not be written. The file system does it in one go.
		for _, st := range steps {
			if st.mine && !early(st) {
				syncs.Go(func() error { return s.sync(ctx, st.flight) })
			}
		}
	}
	if e := syncs.Wait(); err == nil {
		err = e
	}
	return err
}

// land brings a step to its end: when it returns nil, the layer is published and leased.
func (s *Store) land(ctx context.Context, st *step) error {
	switch {
	case st.have:
		return nil
	case !st.mine:
		select {
		case <-st.flight.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if st.flight.err != nil {
			return fmt.Errorf("%w: %w", errOther, st.flight.err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		l := s.layers[st.chain]
		if l == nil {
			return errOther // published and removed again
		}
		l.leases++
		return nil
	}
	if !s.independent {
		if err := s.fill(ctx, st); err != nil {
			return err
		}
		if err := s.sync(ctx, st.flight); err != nil {
			return err
		}
	}
	return s.publishLayer(st)
}

// fill unpacks the tar of a layer and compares its digest.
func (s *Store) fill(ctx context.Context, st *step) error {
	a, err := s.applyKnown(ctx, st)
	if err == nil && a.whole != "" && a.diffID == st.source.DiffID {
		a.kept, err = s.keepFrom(func() (io.ReadCloser, error) { return st.source.Open(ctx) }, a.diffID)
	}
	if err != nil {
		return fmt.Errorf("layer %s: %w", st.source.DiffID, err)
	}
	if want := st.source.DiffID; a.diffID != want {
		a.kept.discard()
		return errs.Invalid("invalid diffID for layer %d: expected %q, got %q", st.index, want, a.diffID)
	}
	st.flight.size, st.flight.kept = a.size, a.kept
	if st.once && st.source.Done != nil {
		st.source.Done()
	}
	return nil
}

func (s *Store) applyKnown(ctx context.Context, st *step) (applied, error) {
	blob, err := st.source.Open(ctx)
	if err != nil {
		return applied{}, err
	}
	defer blob.Close()
	return s.apply(ctx, st.flight.graphID, blob, io.Discard)
}

// sync makes the files of a layer and the form of its tar durable.
func (s *Store) sync(ctx context.Context, fl *flight) error {
	if err := graphdriver.Sync(ctx, s.Graph, fl.graphID); err != nil {
		return err
	}
	return fl.kept.seal()
}

// publishLayer makes the record of a layer durable, whose files are, and leases
// it. The layers below are published.
func (s *Store) publishLayer(st *step) error {
	fl := st.flight
	rec := layerRecord{
		Version: formatVersion, DiffID: fl.diffID, Parent: st.parent, GraphID: fl.graphID, SizeBytes: fl.size,
		Tar: fl.kept.form, TarBytes: fl.kept.bytes,
	}
	s.write.Lock()
	defer s.write.Unlock()
	dir := s.layerDir(st.chain)
	// A damaged record of this layer may be there: this one replaces it.
	if err := durable.RemoveTree(s.FS, dir); err != nil {
		return err
	}
	files := map[string]any{"layer.json": rec, tarFile(fl.kept.form): moved(fl.kept.path)}
	if err := s.publishDir(dir, files); err != nil {
		return err
	}
	fl.kept = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &layer{rec: rec, leases: 1}
	if old := s.layers[st.chain]; old != nil { // damaged, but images have it
		l.images, l.held = old.images, old.held
		if old.rec.GraphID != "" {
			s.garbage[old.rec.GraphID] = true
		}
	}
	s.layers[st.chain] = l
	delete(s.flights, fl.chain)
	delete(s.inits, fl.chain) // of the damaged one
	fl.users--
	close(fl.done)
	return nil
}

// failed gives the error of a flight, if it has failed already.
func (s *Store) failed(fl *flight) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fl.err
}

// fail ends a flight that was not published: whoever waits is told, and its
// files are removed once no other flight stands on them.
func (s *Store) fail(fl *flight, err error) {
	s.mu.Lock()
	if s.flights[fl.chain] != fl {
		s.mu.Unlock()
		return
	}
	delete(s.flights, fl.chain)
	fl.err = err
	select {
	case <-fl.created:
	default:
		close(fl.created)
	}
	close(fl.done)
	s.mu.Unlock()
	fl.kept.discard()
	s.drop(fl)
}

// drop gives up one use of a flight that has failed, or that one of its
// children has; the last one removes the files.
func (s *Store) drop(fl *flight) {
	for fl != nil {
		s.mu.Lock()
		fl.users--
		last := fl.users == 0
		failed := fl.err != nil
		s.mu.Unlock()
		if !last || !failed {
			return
		}
		s.removeGraph(fl.graphID)
		fl = fl.parent
	}
}
